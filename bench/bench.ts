// `make bench`: measures, prints a table, writes bench/results.json and bench/machine.json. Exit 0 if all could be
// measured, whatever came out. On a terminal it tells how far it is; in a pipe it is quiet.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { removeAll, sweep } from '../test/harness/netns/namespaces.ts';
import { missing } from '../test/harness/netns/needs.ts';
import { must, stopAll } from '../test/harness/netns/processes.ts';
import { renderFigures, renderResults } from './bench-report.ts';
import { benchChecker } from './checker-bench.ts';
import { benchDataPath } from './data-path-bench.ts';
import { benchDrift, benchDriftAtDefault } from './drift-bench.ts';
import type { Figure } from './figure.ts';
import { benchInstall } from './install-bench.ts';
import { describeMachine, readLoad, renderMachine } from './machine.ts';
import { makeProgress } from './progress-line.ts';
import { benchWebhook } from './webhook-bench.ts';

type Section = (tell: typeof progress, folder: string) => Promise<Figure[]>;
const SECTIONS: Record<string, Section> = {
  install: benchInstall,
  'data path': benchDataPath,
  drift: benchDrift,
  // Both only wait.
  'drift at the default schedule, or the checker': async (tell, scratch) =>
    (await Promise.all([benchDriftAtDefault(tell, scratch), benchChecker(tell)])).flat(),
  webhook: benchWebhook,
};

const print = (text: string) => process.stdout.write(`${text}\n`);
const progress = makeProgress(process.stderr);
let folder: string | undefined;
let interrupted = false;

async function cleanUp(): Promise<void> {
  progress('');
  await stopAll();
  removeAll();
  if (folder) await rm(folder, { recursive: true, force: true });
}

/** Twice: what was about to start something when it was stopped may have started it since. */
async function interrupt(): Promise<never> {
  interrupted = true;
  await cleanUp();
  await cleanUp();
  process.exit(130);
}

/** @returns figures, and which sections failed: one that cannot be measured does not take the others along */
async function measure(scratch: string): Promise<{ figures: Figure[]; failures: string[] }> {
  const figures: Figure[] = [];
  const failures: string[] = [];
  for (const [name, section] of Object.entries(SECTIONS)) {
    if (interrupted) break;
    try {
      figures.push(...(await section(progress, scratch)));
    } catch (error) {
      failures.push(`${name} could not be measured: ${error instanceof Error ? error.message : error}`);
      await stopAll();
      removeAll();
    }
  }
  return { figures, failures };
}

async function bench(): Promise<boolean> {
  const [iptables, nft] = await Promise.all([must('iptables-nft', ['--version']), must('nft', ['--version'])]);
  const loadBefore = readLoad();
  const started = performance.now();
  folder = await mkdtemp(`${tmpdir()}/invalid-drop-bench-`);
  const { figures, failures } = await measure(folder);
  progress('');
  if (interrupted) return false;
  const machine = describeMachine({ iptables, nft }, loadBefore);
  print(`${renderMachine(machine)}\n\n${renderFigures(figures)}\n`);
  const reached = figures.filter(({ ok }) => ok === true).length;
  const goals = figures.filter(({ ok }) => ok !== null).length;
  print(`${reached} of ${goals} goals reached, in ${Math.round((performance.now() - started) / 1000)} s.`);
  for (const failure of failures) print(failure);
  await writeFile(new URL('results.json', import.meta.url), renderResults(figures));
  await writeFile(new URL('machine.json', import.meta.url), `${JSON.stringify(machine, null, 2)}\n`);
  return failures.length === 0;
}

process.once('SIGINT', () => void interrupt());
process.once('SIGTERM', () => void interrupt());

const why = missing();
if (why) {
  print(`The bench cannot run here: ${why}.`);
  process.exitCode = 1;
} else {
  await sweep();
  try {
    process.exitCode = (await bench()) ? 0 : 1;
  } finally {
    await cleanUp();
  }
}
