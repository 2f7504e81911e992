// `make bench`: measures, prints a table, writes bench/results.json and bench/machine.json. Exit 0 if all could be
// measured, also where a goal was not reached. On a terminal it shows its progress.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { missing } from '../test/harness/netns/kernel-requirements.ts';
import { removeAll, sweep } from '../test/harness/netns/network-namespaces.ts';
import { must, stopAll } from '../test/harness/netns/processes.ts';
import { makeProgress } from '../test/harness/progress-line.ts';
import { benchChecker } from './checker-bench.ts';
import { benchDataPath } from './data-path-bench.ts';
import { benchDrift, benchDriftAtDefault } from './drift-bench.ts';
import { type Figure, renderResults } from './figure.ts';
import { benchInstall } from './install-bench.ts';
import { benchLargeReviews } from './large-reviews-bench.ts';
import { benchLargeRulesets } from './large-ruleset-bench.ts';
import { describeMachine, readLoad, renderMachine } from './machine.ts';
import { benchRescue } from './rescue-bench.ts';
import { measureSections, renderMeasured } from './sections.ts';
import { benchStatusPage } from './status-page-bench.ts';
import { benchWebhook } from './webhook-bench.ts';

type Section = (tell: typeof progress, folder: string) => Promise<Figure[]>;
const SECTIONS: Record<string, Section> = {
  install: benchInstall,
  'data path': benchDataPath,
  rescue: benchRescue,
  drift: benchDrift,
  // Both wait most of the time.
  'drift at the default schedule, or the checker': async (tell, scratch) =>
    (await Promise.all([benchDriftAtDefault(tell, scratch), benchChecker(tell)])).flat(),
  'large rulesets': benchLargeRulesets,
  webhook: benchWebhook,
  'large reviews': benchLargeReviews,
  'status page': benchStatusPage,
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

/** Cleans up twice: a section may have started something during the first. */
async function interrupt(): Promise<never> {
  interrupted = true;
  await cleanUp();
  await cleanUp();
  process.exit(130);
}

async function bench(): Promise<boolean> {
  const [iptables, nft] = await Promise.all([must('iptables-nft', ['--version']), must('nft', ['--version'])]);
  const loadBefore = readLoad();
  const started = performance.now();
  folder = await mkdtemp(`${tmpdir()}/invalid-drop-bench-`);
  const scratch = folder;
  const sections = Object.entries(SECTIONS).map(([name, section]) => [name, () => section(progress, scratch)] as const);
  const afterFailure = async () => {
    await stopAll();
    removeAll();
  };
  const measured = await measureSections(Object.fromEntries(sections), afterFailure, () => interrupted);
  progress('');
  if (interrupted) return false;
  const machine = describeMachine({ iptables, nft }, loadBefore);
  print(`${renderMachine(machine)}\n\n${renderMeasured(measured, started)}`);
  await writeFile(new URL('results.json', import.meta.url), renderResults(measured.figures));
  await writeFile(new URL('machine.json', import.meta.url), `${JSON.stringify(machine, null, 2)}\n`);
  return measured.failures.length === 0;
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
