// Runs files of end-to-end tests: on the cluster that KUBECONFIG names, or else on one of its own that is gone
// afterwards.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { findTuning } from '../../../tools/cluster/cni-tuning.ts';
import { IMAGES } from '../../../tools/images/image-sources.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const CLUSTER = 'tools/cluster/cluster-command.ts';
const REGISTRY = process.env['REGISTRY'] || 'localhost/invalid-drop';

/** Test files that run one after the other in one tap, which sorts them by name: their order must not matter. */
export interface SuiteStage {
  /** Why the stage runs after those before it; empty for the first. */
  why: string;
  /** Names of the files in the suite's folder. */
  files: string[];
  /** What they need on the cluster, and those before must not find. */
  prepare?: () => Promise<number>;
}

export interface Suite {
  /** Of the test files, below the root. */
  folder: string;
  /** How their names end. */
  suffix: string;
  /** Files of the folder that another target of make runs. */
  apart?: string[];
  /** All other files of the folder, in the order in which they run. */
  stages: SuiteStage[];
  /** No test file may take longer. */
  fileLimitSeconds: number;
  /** Commands that bring the cluster up, and what the tests need on it beside our images. */
  prepare: (() => Promise<number>)[];
}

/**
 * @param files paths of the test files to run, in one stage; the stages of the suite where there are none
 * @returns exit code: 0 where every test passed
 * @throws Error where a file of the folder is in no stage, or a stage names a file that is missing
 */
export async function runSuite(suite: Suite, files: string[]): Promise<number> {
  const stages = chosenStages(suite, stagesOf(suite, readdirSync(`${ROOT}${suite.folder}`)), files);
  const tap = ['npx', 'tap', 'run', '--jobs=1', `--timeout=${suite.fileLimitSeconds}`];
  // A cluster that others brought up has been prepared by them.
  if (process.env['KUBECONFIG'])
    return runStages(
      stages.map(({ paths }) => ({ paths })),
      tap,
    );
  // The child gets an interruption too. After it has ended, this program takes the cluster down.
  let interrupted = false;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      interrupted = true;
    });
  }
  try {
    for (const make of suite.prepare) {
      const code = await make();
      if (code !== 0) return code;
    }
    return await runStages(stages, ['node', CLUSTER, 'run', '--', ...tap], () => interrupted);
  } finally {
    await step('node', CLUSTER, 'down');
  }
}

/** A stage, or those of its files that are to run. */
interface ChosenStage extends Pick<SuiteStage, 'prepare'> {
  /** Below the root. */
  paths: string[];
}

/**
 * @param paths of the files of each stage
 * @param chosen paths of the files to run; all where there are none
 * @returns stages in their order; files that are in none come last
 */
export function chosenStages({ stages }: Pick<Suite, 'stages'>, paths: string[][], chosen: string[]): ChosenStage[] {
  const all = stages.map((stage, index): ChosenStage => ({ ...stage, paths: paths[index] ?? [] }));
  if (chosen.length === 0) return all;
  const others = chosen.filter((file) => !paths.flat().includes(file));
  const some = all.map((stage) => ({ ...stage, paths: stage.paths.filter((path) => chosen.includes(path)) }));
  return [...some, { paths: others }].filter((stage) => stage.paths.length > 0);
}

/** Paths of the files of each stage. @param names all files of the suite's folder @throws Error as runSuite */
export function stagesOf(
  { folder, suffix, apart = [], stages }: Omit<Suite, 'prepare' | 'fileLimitSeconds'>,
  names: string[],
) {
  const found = names.filter((name) => name.endsWith(suffix) && !apart.includes(name));
  const listed = stages.flatMap(({ files }) => files);
  const wrong = [
    ...found.filter((name) => !listed.includes(name)).map((name) => `${folder}/${name} is in no stage of the suite`),
    ...listed.filter((name) => !found.includes(name)).map((name) => `${folder}/${name} is in a stage, but missing`),
  ];
  if (wrong.length > 0) throw new Error(wrong.join('\n'));
  return stages.map(({ files }) => files.map((name) => `${folder}/${name}`));
}

/** Runs each stage, also after one that failed. @returns the first exit code that is not 0 */
async function runStages(stages: ChosenStage[], [command = '', ...args]: string[], stopped = () => false) {
  let failed = 0;
  for (const stage of stages) {
    if (stopped()) return failed || 1;
    const code = (await stage.prepare?.()) || (await step(command, ...args, ...stage.paths));
    failed = failed || code;
  }
  return failed;
}

/** Starts the cluster. */
export const clusterUp = () => step('node', CLUSTER, 'up');

/** Builds the CNI plugin that makes pods liberal. */
export async function buildPlugin(): Promise<number> {
  await findTuning();
  return 0;
}

/**
 * Loads our images under their local names. An older commit may lack one.
 * @param tag suffix of the tag with which they were made (`make images TAG=`)
 */
export async function loadImages(tag = '', folder = '.run/images'): Promise<number> {
  for (const image of IMAGES) {
    const archive = `${folder}/${image}${tag}.oci.tar`;
    if (!existsSync(`${ROOT}${archive}`)) continue;
    const code = await step('node', CLUSTER, 'load', archive, `${REGISTRY}/${image}`);
    if (code !== 0) return code;
  }
  return 0;
}

/** Runs a command in the project's root with this program's own output. @returns its exit code */
export async function step(command: string, ...args: (string | string[])[]): Promise<number> {
  const child = spawn(command, args.flat(), { cwd: ROOT, stdio: 'inherit' });
  const [code] = (await once(child, 'exit')) as [number | null];
  return code ?? 1;
}
