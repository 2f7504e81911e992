// `make demo`: a pod is admitted and our container of it runs. Connections that are reset without them, or hang with the rule
// alone, are fine; large uploads are too, also after the rule was removed by hand. Exit 0 only if that is so.

import { mkdtempSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import type { Backend } from '../lib/netfilter/model.ts';
import { renderTable } from '../lib/text-table.ts';
import { missing } from '../test/harness/netns/kernel-requirements.ts';
import { removeAll, sweep } from '../test/harness/netns/network-namespaces.ts';
import { killAll, patient } from '../test/harness/netns/processes.ts';
import { makeProgress } from '../test/harness/progress-line.ts';
import { type AdmittedPod, admit } from './demo-admission.ts';
import { type DemoRow, HEADINGS, toCells } from './demo-table.ts';
import { areOutcomesAsExpected, OUTCOME_HEADINGS, outcomeRows, summarizeOutcomes } from './outcome-table.ts';
import { LOAD, runScenario, SHORT_LOAD } from './scenario.ts';
import { exchangeSmallRequests } from './small-requests.ts';

/** Milliseconds: ten times what the demo takes on two cores. */
const LIMIT = patient(600_000);
/** `--short`: small uploads, for a machine that is emulated. */
const load = process.argv.includes('--short') ? SHORT_LOAD : LOAD;
const print = (text: string) => process.stdout.write(`${text}\n`);

const tell = makeProgress(process.stderr);

function describeAdmission(pod: AdmittedPod, backend: Backend): string {
  const containers = pod.spec.initContainers.map(({ name, securityContext, restartPolicy, lifecycle }) => {
    const kind = restartPolicy === 'Always' ? 'native sidecar' : 'init container';
    const command = lifecycle?.postStart.exec.command.join(' ');
    const hook = command === undefined ? '' : `\n    before the application starts, this has to end: ${command}`;
    return `  ${kind} ${name}, capabilities: ${securityContext?.capabilities?.add?.join(', ')}${hook}`;
  });
  const annotations = Object.entries(pod.metadata.annotations).map(([name, value]) => `  annotation ${name}: ${value}`);
  return [`The webhook added to the Deployment's pod (${backend}):`, ...containers, ...annotations].join('\n');
}

async function admitAndDescribe(folder: string, backend: Backend): Promise<AdmittedPod> {
  tell(`${backend}: admitting a pod`);
  const pod = await admit(folder, backend === 'legacy');
  tell('');
  print(describeAdmission(pod, backend));
  return pod;
}

/** @returns whether the table shows what it must */
async function showSmallRequests(pod: AdmittedPod): Promise<boolean> {
  tell('small requests: without the rule, with the rule alone, with the whole cure');
  const connections = await exchangeSmallRequests(pod, load.connections);
  tell('');
  const table = renderTable(OUTCOME_HEADINGS, outcomeRows(connections));
  print(`\nSmall requests and answers, ${load.connections} connections of each kind (slowest of the fine ones):\n`);
  print([table, '', ...summarizeOutcomes(connections)].join('\n'));
  return areOutcomesAsExpected(connections);
}

async function upload(pod: AdmittedPod, backend: Backend): Promise<DemoRow[]> {
  const rows: DemoRow[] = [];
  for (const family of ['ipv4', 'ipv6'] as const) rows.push(...(await runScenario(pod, backend, family, load, tell)));
  tell('');
  return rows;
}

/** @returns whether the table shows what it must */
function showUploads(rows: DemoRow[]): boolean {
  const table = renderTable(HEADINGS, rows.map(toCells));
  print(`\nUploads of ${load.bytes / 1e6} MB with segments moved far out of the window:\n\n${table}\n`);
  const [bare, guarded] = [
    rows.filter(({ phase }) => phase === 'no rule'),
    rows.filter(({ phase }) => phase !== 'no rule'),
  ];
  const sum = (some: DemoRow[], of: 'uploads' | 'resets') => some.reduce((all, row) => all + row[of], 0);
  print(`Without the rule ${sum(bare, 'resets')} of ${sum(bare, 'uploads')} uploads were reset.`);
  print(`With the whole cure ${sum(guarded, 'resets')} of ${sum(guarded, 'uploads')} uploads were reset.`);
  return rows.every(({ ok }) => ok);
}

async function demo(folder: string): Promise<boolean> {
  const pod = await admitAndDescribe(folder, 'nft');
  const shown = await showSmallRequests(pod);
  const rows = await upload(pod, 'nft');
  rows.push(...(await upload(await admitAndDescribe(folder, 'legacy'), 'legacy')));
  return showUploads(rows) && shown;
}

function fail(message: string): never {
  tell('');
  print(`The demo failed: ${message}`);
  process.exit(1);
}

const why = missing();
if (why) fail(`it cannot run here: ${why}`);
const folder = mkdtempSync(`${tmpdir()}/invalid-drop-demo-`);
// In an exit handler nothing else runs any more, so that nothing new can be made while this removes what there is.
process.once('exit', () => {
  killAll();
  removeAll();
  rmSync(folder, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  // `on`, not `once`: a second Ctrl-C would otherwise end the process inside its exit handler.
  process.on(signal, () => {
    tell('');
    process.exit(128 + constants.signals[signal]);
  });
}
setTimeout(() => fail(`not done within ${LIMIT / 60_000} minutes`), LIMIT).unref();

await sweep();
try {
  process.exitCode = (await demo(folder)) ? 0 : 1;
} catch (error) {
  fail(error instanceof Error ? error.message : String(error));
}
