// Runs files of end-to-end tests: on the cluster that KUBECONFIG names, or else on one of its own that is gone afterwards.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const CLUSTER = 'tools/cluster/cluster-command.ts';
const IMAGES = ['init-image', 'webhook'];
const REGISTRY = process.env['REGISTRY'] || 'localhost/invalid-drop';

export interface Suite {
  /** Of the test files, below the root. */
  folder: string;
  /** How their names end. */
  suffix: string;
  /** Files to run; all of the folder where there are none. */
  files: string[];
  /** No test file may take longer. */
  fileLimitSeconds: number;
  /** Commands that bring the cluster up, and what the tests need on it beside our images. */
  prepare: (() => Promise<number>)[];
}

/** @returns exit code: 0 where every test passed */
export async function runSuite({ folder, suffix, files, fileLimitSeconds, prepare }: Suite): Promise<number> {
  const named = files.length > 0 ? files : filesOf(folder, suffix);
  const tap = ['tap', 'run', '--jobs=1', `--timeout=${fileLimitSeconds}`, ...named];
  if (process.env['KUBECONFIG']) return step('npx', tap);
  // An interruption reaches the child too; then it is over, and what was made is removed.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {});
  try {
    for (const make of prepare) {
      const code = await make();
      if (code !== 0) return code;
    }
    return await step('node', CLUSTER, 'run', '--', 'npx', ...tap);
  } finally {
    await step('node', CLUSTER, 'down');
  }
}

/** Starts the cluster. */
export const clusterUp = () => step('node', CLUSTER, 'up');

/** Loads our images, made with this suffix of the tag (`make images TAG=`). */
export async function loadImages(tag = ''): Promise<number> {
  for (const image of IMAGES) {
    const code = await step('node', CLUSTER, 'load', `.run/images/${image}${tag}.oci.tar`, `${REGISTRY}/${image}`);
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

function filesOf(folder: string, suffix: string): string[] {
  const names = readdirSync(`${ROOT}${folder}`).filter((name) => name.endsWith(suffix));
  return names.sort().map((name) => `${folder}/${name}`);
}
