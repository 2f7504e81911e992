// `make demo`: a pod is admitted, its init container installs the rule, its checker keeps it, and a real upload that
// was reset no longer is. Exit 0 only if every unguarded upload was reset and no guarded one was.
import { mkdtempSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { removeAll, sweep } from '../test/harness/netns/namespaces.ts';
import { missing } from '../test/harness/netns/needs.ts';
import { killAll } from '../test/harness/netns/processes.ts';
import { HEADINGS, toCells } from './columns.ts';
import { type AdmittedPod, admit } from './demo-admission.ts';
import type { Backend } from './demo-containers.ts';
import { LOAD, type Row, runScenario, SHORT_LOAD } from './scenario.ts';
import { renderTable } from './table.ts';

/** Ten times what it takes on two cores: a demo that hangs is a demo that failed. */
const LIMIT = 600_000;
/** `--short`: small uploads, for a machine that is emulated. */
const load = process.argv.includes('--short') ? SHORT_LOAD : LOAD;
const print = (text: string) => process.stdout.write(`${text}\n`);

/** One line that is written over, on a terminal; nothing in a pipe. */
function tell(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

function describeAdmission(pod: AdmittedPod, backend: Backend): string {
  const containers = pod.spec.initContainers.map(({ name, securityContext, restartPolicy }) => {
    const kind = restartPolicy === 'Always' ? 'native sidecar' : 'init container';
    return `  ${kind} ${name}, capabilities: ${securityContext?.capabilities?.add?.join(', ')}`;
  });
  const annotations = Object.entries(pod.metadata.annotations).map(([name, value]) => `  annotation ${name}: ${value}`);
  return [`The webhook added to the Deployment's pod (${backend}):`, ...containers, ...annotations].join('\n');
}

async function demo(folder: string): Promise<boolean> {
  const rows: Row[] = [];
  for (const backend of ['nft', 'legacy'] as const) {
    tell(`${backend}: admitting a pod`);
    const pod = await admit(folder, backend === 'legacy');
    tell('');
    print(describeAdmission(pod, backend));
    for (const family of ['ipv4', 'ipv6'] as const) rows.push(...(await runScenario(pod, backend, family, load, tell)));
  }
  tell('');
  print(
    `\nUploads of ${load.bytes / 1e6} MB with segments pushed out of the window:\n\n${renderTable(HEADINGS, rows.map(toCells))}\n`,
  );
  const [bare, guarded] = [
    rows.filter(({ phase }) => phase === 'no rule'),
    rows.filter(({ phase }) => phase !== 'no rule'),
  ];
  const sum = (some: Row[], of: 'uploads' | 'resets') => some.reduce((all, row) => all + row[of], 0);
  print(`Without the rule ${sum(bare, 'resets')} of ${sum(bare, 'uploads')} uploads were reset.`);
  print(`With the rule ${sum(guarded, 'resets')} of ${sum(guarded, 'uploads')} uploads were reset.`);
  return rows.every(({ ok }) => ok);
}

function fail(message: string): never {
  tell('');
  print(`The demo failed: ${message}`);
  process.exit(1);
}

const why = missing();
if (why) fail(`it cannot run here: ${why}`);
const folder = mkdtempSync(`${tmpdir()}/invalid-drop-demo-`);
// However it ends: nothing else runs any more in an exit handler, so that nothing can be made anew meanwhile.
process.once('exit', () => {
  killAll();
  removeAll();
  rmSync(folder, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  // Not once: a second Ctrl-C would then end the process in the midst of its exit handler.
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
