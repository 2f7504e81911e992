import { spawn } from 'node:child_process';
import { once } from 'node:events';
import t from 'tap';
import {
  explainCommand,
  explainContainer,
  interruptible,
  nodePod,
  planExplain,
} from '../../../cli/explain/explain-plan.ts';
import { makeRelay } from '../../../cli/explain/relay-output.ts';
import { readOptions } from '../../../lib/options.ts';
import { injectionSettings, OPTIONS } from '../../../webhook/webhook-options.ts';

const settings = injectionSettings(readOptions(OPTIONS, [], {}).values);
const RUNS = { running: {} };

function pod(status: object = {}, spec: object = {}) {
  return {
    metadata: { name: 'store-0' },
    spec: { nodeName: 'n-1', containers: [{ name: 'app', image: 'a' }], ...spec },
    status: { phase: 'Running', ...status },
  };
}

t.test('a checker that runs is asked, wherever it is', async (t) => {
  for (const [list, name] of [
    ['initContainerStatuses', 'invalid-drop-checker'],
    ['containerStatuses', 'invalid-drop-checker'],
    ['ephemeralContainerStatuses', 'invalid-drop-guard-checker-2'],
  ] as const)
    t.same(planExplain(pod({ [list]: [{ name, state: RUNS }] })), { do: 'exec', container: name });
});

t.test('any other pod gets an ephemeral container with a name of its own', async (t) => {
  t.same(planExplain(pod()), { do: 'add', name: 'invalid-drop-explain-1' });
  const ended = pod({ initContainerStatuses: [{ name: 'invalid-drop-checker', state: { terminated: {} } }] });
  t.same(planExplain(ended), { do: 'add', name: 'invalid-drop-explain-1' });
  const before = pod({}, { ephemeralContainers: [{ name: 'invalid-drop-explain-3' }, { name: 'debugger-x' }] });
  t.same(planExplain(before), { do: 'add', name: 'invalid-drop-explain-4' });
  const container = explainContainer(pod(), 'invalid-drop-explain-1', settings, explainCommand(20, true, false));
  t.match(container, {
    name: 'invalid-drop-explain-1',
    image: settings.image,
    command: ['node', '--disable-sigusr1', '/opt/invalid-drop/check.js', '--explain', '--seconds=20', '--json'],
    securityContext: { capabilities: { drop: ['ALL'], add: ['NET_ADMIN'] }, readOnlyRootFilesystem: true },
  });
});

t.test('a pod that has no rules of its own is refused, and its node is named', async (t) => {
  t.match(planExplain(pod({}, { hostNetwork: true })), { do: 'refuse', node: 'n-1', why: /host network/ });
  t.match(planExplain(pod({ phase: 'Pending' })), { do: 'refuse', why: 'its phase is Pending' });
});

t.test("the node's pod ends by itself, on each node, and tells the API server nothing", async (t) => {
  const { spec } = nodePod('n-1', 'image:1', explainCommand(60, false, true), 150) as { spec: object };
  t.match(spec, {
    nodeName: 'n-1',
    hostPID: true,
    restartPolicy: 'Never',
    activeDeadlineSeconds: 150,
    automountServiceAccountToken: false,
    tolerations: [{ operator: 'Exists' }],
    containers: [{ command: /./, securityContext: { privileged: true } }],
  });
});

/** The wrapper as exec starts it, around a script. */
function startWrapped(script: string) {
  const [, ...args] = interruptible([process.execPath, '-e', script, '--']);
  return spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
}

t.test('a program that is run by exec is interrupted through its input, and its exit code is kept', async (t) => {
  const listens = 'process.on("SIGINT",()=>process.exit(7));setInterval(()=>{},1000);console.log("on")';
  for (const how of ['input', 'end'] as const) {
    const child = startWrapped(listens);
    await once(child.stdout, 'data');
    if (how === 'input') child.stdin.write('x');
    else child.stdin.end();
    t.same(await once(child, 'exit'), [7, null], how);
  }
  t.same(await once(startWrapped('process.exit(1)'), 'exit'), [1, null]);
});

t.test('a program that is interrupted before it listens is started again, for a second', async (t) => {
  const early = 'if(process.argv.includes("--seconds=1"))process.exit(9);setInterval(()=>{},1000);console.log("on")';
  const child = startWrapped(early);
  await once(child.stdout, 'data');
  child.stdin.end('x');
  t.same(await once(child, 'exit'), [9, null]);
});

t.test('output is escaped, also where a character comes in two parts, and bounded', async (t) => {
  const printed: string[] = [];
  const notes: string[] = [];
  const relay = makeRelay(
    (text) => printed.push(text),
    (text) => notes.push(text),
  );
  const bytes = Buffer.from('pod \u001b[2J ü\u202e\n');
  for (const byte of bytes) relay.take(Buffer.from([byte]));
  relay.end();
  t.equal(printed.join(''), 'pod \\u001b[2J ü\\u202e\n');
  t.equal(relay.taken, bytes.length);
  const line = Buffer.alloc(1024 * 1024, 'a');
  for (let count = 0; count < 20; count += 1) relay.take(line);
  t.ok(printed.join('').length < 17 * 1024 * 1024);
  t.match(notes, ['the output is cut after 16777216 bytes']);
});
