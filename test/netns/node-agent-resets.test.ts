import { statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { readSnmp } from '../../lib/netfilter/proc.ts';
import type { PodResets, ResetCounts } from '../../node-agent/resets/reset-counts.ts';
import { isAtLeast } from '../harness/netns/kernel-requirements.ts';
import { kernelTest } from '../harness/netns/netns-test.ts';
import { ADDRESS, type NetworkNamespace, type Pair } from '../harness/netns/network-namespaces.ts';
import { Program } from '../harness/netns/processes.ts';
import { startMesh, UPLOAD, upload } from '../harness/netns/redirected-upload.ts';
import type { WatchedPod } from '../harness/netns/reset-watcher.ts';
import { type Event, eventsOf, install } from '../harness/netns/shipped-programs.ts';
import { countStrays, startStrays } from '../harness/netns/stray-segments.ts';
import { listInstances, WITH_TRACEFS } from '../harness/netns/tracefs.ts';
import { until } from '../harness/wait-until.ts';

const WATCHER = fileURLToPath(new URL('../harness/netns/reset-watcher.ts', import.meta.url));
const RESET_CAUSES = fileURLToPath(new URL('../harness/traffic/reset-causes.ts', import.meta.url));
/** Other tests may run on the machine: each has an instance of its own. What a killed run leaves, check --explain removes. */
const INSTANCE = `invalid-drop-${process.pid}`;
const PORT = { unread: 9441, abort: 9442, closed: 9444 };
/** From 6.10 on the kernel reports reasons, and resets without a full socket (include/trace/events/tcp.h). */
const HAS_REASONS = isAtLeast(6, 10);

const UNGUARDED = { guarded: false, drift: 0, reason: 'no rule drops INVALID TCP packets' };

/** The pod as the agent knows it, by a process of its own that is in it. */
async function watched(pod: NetworkNamespace, guard: WatchedPod['guard']): Promise<WatchedPod> {
  const { child } = pod.start('sleep', ['infinity']);
  await until('the process is in the pod', async () => (await pod.processes()).includes(child.pid ?? 0));
  const identity = { id: String(statSync(`/run/netns/${pod.name}`).ino), namespace: 'storage', pod: 'store-0' };
  return { ...identity, addresses: [ADDRESS.pod.ipv4], pid: child.pid ?? 0, guard };
}

const MOUNTED = ['--mount', '--propagation', 'private', 'sh', '-c', WITH_TRACEFS, 'sh'];
/** The capabilities of the agent. */
const CAPABILITIES = '-all,+sys_admin,+net_admin';

/** @param shell runs the watcher: with tracefs, or without it */
function startWatcher(pods: WatchedPod[], shell = MOUNTED, capabilities = CAPABILITIES): Program {
  const limits = ['--inh-caps', capabilities, '--bounding-set', capabilities, '--no-new-privs'];
  const clean = ['env', '-i', `PATH=${process.env['PATH']}`];
  const program = [process.execPath, WATCHER, INSTANCE];
  const watcher = new Program('unshare', [...shell, 'setpriv', ...limits, ...clean, ...program]);
  watcher.child.stdin?.write(`${JSON.stringify(pods)}\n`);
  return watcher;
}

async function startWatch(t: Test, ...pods: WatchedPod[]): Promise<Program> {
  const watcher = startWatcher(pods);
  await watcher.waitForOutput(/"event":"resets-watched"/);
  t.teardown(() => watcher.stop());
  return watcher;
}

/** Asks for the counts. */
async function counts(watcher: Program): Promise<ResetCounts> {
  const answers = () => eventsOf(watcher).filter(({ event }) => event === 'counts');
  const before = answers().length;
  watcher.child.stdin?.write('counts\n');
  await until('the counts are printed', async () => answers().length > before);
  return answers().at(-1) as Event & ResetCounts;
}

/** Resets of the pod by kind: the machine's other resets are of no known pod. */
async function kinds(watcher: Program): Promise<Record<string, number>> {
  const { resets } = await counts(watcher);
  const ofPod = resets.filter(({ pod }: PodResets) => pod === 'store-0');
  return Object.fromEntries(ofPod.map(({ kind, resets }) => [kind, resets]));
}

async function counted(watcher: Program, wanted: Record<string, number>): Promise<void> {
  await until(`${JSON.stringify(wanted)} are counted`, async () => {
    const found = await kinds(watcher);
    return Object.entries(wanted).every(([kind, resets]) => (found[kind] ?? 0) >= resets);
  });
}

const bugLines = (watcher: Program) => eventsOf(watcher).filter(({ event }) => event === 'preventable-reset');

async function serve(pod: NetworkNamespace, kind: 'unread' | 'abort'): Promise<void> {
  const server = pod.start('taskset', ['-c', '0', process.execPath, RESET_CAUSES, 'serve', String(PORT[kind]), kind]);
  await server.waitForOutput(/ready/);
}

async function call({ gateway }: Pair, kind: keyof typeof PORT): Promise<void> {
  await gateway.must(process.execPath, [RESET_CAUSES, 'call', ADDRESS.pod.ipv4, String(PORT[kind]), kind]);
}

kernelTest('resets of the bug are counted for the pod that is not guarded, and logged', async (t, pair) => {
  await startMesh(pair, 'nft');
  await startStrays(pair.gateway, 50);
  const watcher = await startWatch(t, await watched(pair.pod, UNGUARDED));
  t.match(await upload(pair, 'ipv4', UPLOAD, 2), [{ ok: false }, { ok: false }]);
  await counted(watcher, { 'this-bug': 2 });
  const [line] = bugLines(watcher);
  t.match(line, {
    level: 'warn',
    namespace: 'storage',
    pod: 'store-0',
    port: 9000,
    state: 'TCP_LISTEN',
    why: new RegExp(UNGUARDED.reason),
  });
});

kernelTest('with the cure there are none, whatever the guard says', async (t, pair) => {
  await startMesh(pair, 'nft');
  t.equal((await install(pair.pod)).exitCode, 0);
  await startStrays(pair.gateway, 50);
  await serve(pair.pod, 'abort');
  // As if nobody knew: a reset of this kind would be counted.
  const watcher = await startWatch(t, await watched(pair.pod, UNGUARDED));
  t.match(await upload(pair, 'ipv4', UPLOAD, 2), [{ ok: true }, { ok: true }]);
  t.ok((await countStrays(pair.gateway)) > 0);
  // What comes later is counted later.
  const loopback = ['call', '127.0.0.1', String(PORT.abort), 'abort'];
  await pair.pod.must(process.execPath, [RESET_CAUSES, ...loopback]);
  await counted(watcher, { [HAS_REASONS ? 'aborted' : 'own-connection']: 1 });
  t.notOk((await kinds(watcher))['this-bug']);
  t.same(bugLines(watcher), []);
});

kernelTest('ordinary resets are counted by their cause', async (t, pair) => {
  await serve(pair.pod, 'unread');
  await serve(pair.pod, 'abort');
  const watcher = await startWatch(t, await watched(pair.pod, UNGUARDED));
  for (const kind of ['unread', 'abort', 'abort', 'closed'] as const) await call(pair, kind);
  const expected = HAS_REASONS ? { 'unread-data': 1, aborted: 2, 'closed-port': 1 } : { 'own-connection': 3 };
  await counted(watcher, expected);
  t.same(bugLines(watcher), []);
});

kernelTest('what comes faster than it is read is lost, and counted', async (t, pair) => {
  await serve(pair.pod, 'abort');
  const watcher = await startWatch(t, await watched(pair.pod, UNGUARDED));
  watcher.child.kill('SIGSTOP');
  const storm = ['storm', ADDRESS.pod.ipv4, String(PORT.abort), '4000'];
  t.equal((await pair.gateway.must(process.execPath, [RESET_CAUSES, ...storm])).trim(), '4000');
  watcher.child.kill('SIGCONT');
  const sent = readSnmp(await pair.pod.must('cat', ['/proc/net/snmp']), 'Tcp', 'OutRsts') ?? 0;
  let found = 0;
  await until('every reset is counted or lost', async () => {
    const { lost } = await counts(watcher);
    found = Object.values(await kinds(watcher)).reduce((sum, resets) => sum + resets, 0);
    return lost > 0 && found > 0 && found + lost >= sent;
  });
});

kernelTest('the instance of tracefs goes with the watch, and a killed one leaves it to the next', async (t, pair) => {
  const pod = await watched(pair.pod, UNGUARDED);
  const killed = await startWatch(t, pod);
  await killed.stop('SIGKILL');
  t.ok((await listInstances()).includes(INSTANCE), 'left behind');
  const next = await startWatch(t, pod);
  t.equal((await counts(next)).watching, true);
  const { exitCode, stderr } = await next.stop();
  t.match({ exitCode, stderr }, { exitCode: 0, stderr: '' });
  t.notOk((await listInstances()).includes(INSTANCE), 'removed at the end');
});

kernelTest('without tracefs it says so, and counts nothing', async (t, pair) => {
  const watcher = startWatcher([await watched(pair.pod, UNGUARDED)], ['--mount'], '-all');
  await watcher.waitForOutput(/"event":"resets-not-watched"/);
  t.match(eventsOf(watcher), [{ level: 'error', code: 'RESETS_NOT_WATCHED' }]);
  t.match(await counts(watcher), { watching: false, problem: /tracefs/, resets: [], lost: 0 });
  t.equal((await watcher.stop()).exitCode, 0);
});
