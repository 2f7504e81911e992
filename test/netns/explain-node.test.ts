import { readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import type { ResetSummaryRow, resetData } from '../../init-image/explain/node/reset-report.ts';
import { readSnmp } from '../../lib/netfilter/proc.ts';
import { isAtLeast } from '../harness/netns/kernel-requirements.ts';
import { kernelTest } from '../harness/netns/netns-test.ts';
import { ADDRESS, type NetworkNamespace, type Pair } from '../harness/netns/network-namespaces.ts';
import type { Program } from '../harness/netns/processes.ts';
import { startMesh, startTproxyMesh, UPLOAD, upload } from '../harness/netns/redirected-upload.ts';
import { containerSpec, install, startContainer } from '../harness/netns/shipped-programs.ts';
import { countStrays, startStrays } from '../harness/netns/stray-segments.ts';
import { listInstances } from '../harness/netns/tracefs.ts';
import { until } from '../harness/wait-until.ts';

type Found = ReturnType<typeof resetData>;
type Line = { watching?: object; reset?: Found; summary?: ResetSummaryRow[]; thisBug?: number; lost?: number };

const APP = fileURLToPath(new URL('../harness/traffic/app.ts', import.meta.url));
const RESET_CAUSES = fileURLToPath(new URL('../harness/traffic/reset-causes.ts', import.meta.url));
/** The capabilities that `kubectl debug node/NAME --profile=sysadmin` gives and this program uses. */
const PRIVILEGED = ['SYS_ADMIN', 'SYS_PTRACE', 'DAC_OVERRIDE', 'DAC_READ_SEARCH'];
/** Ports that no other test uses: the tracepoint reports the resets of the whole machine. */
const PORT = { unread: 9431, abort: 9432, late: 9433, closed: 9434 };

/** Where the watches of this file mount tracefs. A run that is killed leaves its folder behind. */
const FOLDER = t.testdir();

/** Starts the watch outside of the pod, and waits until it traces. */
async function startWatch({ gateway }: Pair): Promise<Program> {
  const spec = containerSpec('check', PRIVILEGED, '--explain', '--node', '--json', '--seconds', '300');
  spec.securityContext = { ...spec.securityContext, readOnlyRootFilesystem: false };
  const watch = startContainer(gateway, spec, { TMPDIR: FOLDER });
  await watch.waitForOutput(/"watching"/);
  return watch;
}

function linesOf({ output }: Program): Line[] {
  const lines = output.split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as Line);
}

/** Waits until a reset of the port is reported. */
async function sawReset(watch: Program, pod: NetworkNamespace, port: number): Promise<Found> {
  let found: Found | undefined;
  await until(`a reset of port ${port} is reported`, async () => {
    found = (await resetsOf(watch, pod, port))[0];
    return found !== undefined;
  });
  return found as Found;
}

/** Resets with the pod among their candidates: other tests may run on the machine. */
async function resetsOf(watch: Program, pod: NetworkNamespace, port: number): Promise<Found[]> {
  const id = (await pod.must('readlink', ['/proc/self/ns/net'])).trim();
  const isOfPod = ({ pods, local }: Found) => local.port === port && pods.some(({ namespace }) => namespace === id);
  return linesOf(watch).flatMap(({ reset }) => (reset && isOfPod(reset) ? [reset] : []));
}

const POD = [{ name: ADDRESS.pod.ipv4 }];

/** From 6.10 on the kernel reports reasons, and resets without a full socket (include/trace/events/tcp.h). */
const HAS_REASONS = isAtLeast(6, 10);

/** The kind and reason on a kernel that reports reasons; on others the kind `without` a reason. */
function reported(kind: string, reason: string | RegExp, without = kind) {
  return HAS_REASONS ? { kind, reason } : { kind: without, reason: null };
}

async function resetsSent(pod: NetworkNamespace): Promise<number> {
  return readSnmp(await pod.must('cat', ['/proc/net/snmp']), 'Tcp', 'OutRsts') ?? 0;
}

/** Ends the watch, and asserts that nothing was reported for the port, as on kernels before 6.10. */
async function sawNothing(t: Test, watch: Program, pod: NetworkNamespace, port: number): Promise<void> {
  await endWatch(watch);
  t.same(await resetsOf(watch, pod, port), [], 'this kernel does not report it');
}

function startCall(from: NetworkNamespace, kind: keyof typeof PORT, behaviour: string = kind): Program {
  return from.start(process.execPath, [RESET_CAUSES, 'call', ADDRESS.pod.ipv4, String(PORT[kind]), behaviour]);
}

async function serve(pod: NetworkNamespace, kind: keyof typeof PORT): Promise<Program> {
  const server = pod.start(process.execPath, [RESET_CAUSES, 'serve', String(PORT[kind]), kind]);
  await server.waitForOutput(/ready/);
  return server;
}

/** States of the sockets at a port, as /proc/net/tcp6 has them. */
async function statesAt(pod: NetworkNamespace, port: number): Promise<string[]> {
  const local = `:${port.toString(16).toUpperCase()}`;
  const lines = (await pod.must('cat', ['/proc/net/tcp', '/proc/net/tcp6'])).split('\n');
  const columns = lines.map((line) => line.trim().split(/\s+/));
  return columns.flatMap(([, address, , state]) => (address?.endsWith(local) && state ? [state] : []));
}

/** Whether the watch has an instance in tracefs. Its process id is the child's: each command on the way uses exec. */
async function hasInstance({ child }: Program): Promise<boolean> {
  return (await listInstances()).includes(`invalid-drop-${child.pid}`);
}

/** Ends the watch as Ctrl-C does. */
async function endWatch(watch: Program): Promise<{ last: Line; exitCode: number | null }> {
  const { exitCode, stderr } = await watch.stop('SIGINT');
  if (stderr !== '') throw new Error(stderr);
  return { last: linesOf(watch).at(-1) ?? {}, exitCode };
}

kernelTest('the bug is named with its pod and port, once for each upload that it reset', async (t, pair) => {
  await startMesh(pair, 'nft');
  await startStrays(pair.gateway, 50);
  const watch = await startWatch(pair);
  for (const { ok } of await upload(pair, 'ipv4', UPLOAD, 2)) t.equal(ok, false);
  await until('both resets are reported', async () => (await resetsOf(watch, pair.pod, 9000)).length >= 2);
  for (const found of await resetsOf(watch, pair.pod, 9000)) {
    t.match(found, { thisBug: true, pods: POD, foundBy: 'listener', state: 'TCP_LISTEN' });
    t.match(found, reported('this-bug', /TCP_FLAGS/));
  }
  const { last, exitCode } = await endWatch(watch);
  t.equal(exitCode, 1);
  t.match(last, { lost: 0, summary: [] });
  const where = `${ADDRESS.pod.ipv4} port 9000`;
  t.ok(
    last.summary?.some((row) => row.kind === 'this-bug' && row.where === where),
    JSON.stringify(last),
  );
});

kernelTest('without a listener on all addresses, the bug is a reset without a socket', async (t, pair) => {
  const [app] = await startMesh(pair, 'nft');
  await startStrays(pair.gateway, 50);
  await app?.stop();
  // As many applications do that only the proxy calls.
  const local = pair.pod.start(process.execPath, [APP, '127.0.0.1']);
  await local.waitForOutput(/ready/);
  const watch = await startWatch(pair);
  t.match(await upload(pair, 'ipv4', UPLOAD, 1), [{ ok: false }]);
  if (!HAS_REASONS) return sawNothing(t, watch, pair.pod, 9000);
  const found = await sawReset(watch, pair.pod, 9000);
  t.match(found, { kind: 'this-bug', pods: POD, foundBy: 'address', state: null, reason: 'NO_SOCKET' });
  t.equal((await endWatch(watch)).exitCode, 1);
});

kernelTest('with the rule in, stray segments make no reset', async (t, pair) => {
  await startMesh(pair, 'nft');
  t.equal((await install(pair.pod)).exitCode, 0);
  await startStrays(pair.gateway, 50);
  const watch = await startWatch(pair);
  t.match(await upload(pair, 'ipv4', UPLOAD, 2), [{ ok: true }, { ok: true }]);
  t.ok((await countStrays(pair.gateway)) > 0);
  await endWatch(watch);
  t.same(await resetsOf(watch, pair.pod, 9000), []);
});

kernelTest('under TPROXY a stray segment finds its own connection: no reset', async (t, pair) => {
  await startTproxyMesh(pair);
  await startStrays(pair.gateway, 50);
  const watch = await startWatch(pair);
  t.match(await upload(pair, 'ipv4', UPLOAD, 2), [{ ok: true }, { ok: true }]);
  t.ok((await countStrays(pair.gateway)) > 0);
  await endWatch(watch);
  t.same(await resetsOf(watch, pair.pod, 9000), []);
});

const OTHERS = [
  { kind: 'unread', expected: 'unread-data', reason: /^TCP_ABORT_ON_CLOSE$/ },
  { kind: 'abort', expected: 'aborted', reason: /^TCP_STATE$/ },
] as const;

for (const { kind, expected, reason } of OTHERS) {
  kernelTest(`a reset of another cause is named by it: ${expected}`, async (t, pair) => {
    await serve(pair.pod, kind);
    const watch = await startWatch(pair);
    t.match((await startCall(pair.gateway, kind).end()).stdout, /ECONNRESET/);
    const found = await sawReset(watch, pair.pod, PORT[kind]);
    t.match(found, { thisBug: false, pods: POD, ...reported(expected, reason, 'own-connection') });
    if (HAS_REASONS) t.match(found, { command: /node/, pid: Number }, 'a program sent it, which is named');
    await endWatch(watch);
  });
}

kernelTest('a reset of another cause is named by it: closed-port', async (t, pair) => {
  await serve(pair.pod, 'abort');
  const watch = await startWatch(pair);
  t.match((await startCall(pair.gateway, 'closed').end()).stdout, /ECONNREFUSED/);
  if (!HAS_REASONS) return sawNothing(t, watch, pair.pod, PORT.closed);
  const found = await sawReset(watch, pair.pod, PORT.closed);
  t.match(found, { kind: 'closed-port', thisBug: false, pods: POD, state: null, reason: 'NO_SOCKET' });
  await endWatch(watch);
});

kernelTest('a reset of another cause is named by it: time-wait', async (t, pair) => {
  await serve(pair.pod, 'late');
  const watch = await startWatch(pair);
  const client = startCall(pair.gateway, 'late');
  await client.waitForOutput(/waits/);
  // FIN_WAIT2 without an owner is kept as TIME_WAIT (tcp_fin of net/ipv4/tcp_input.c).
  await until('the server has its FIN acknowledged', async () => (await statesAt(pair.pod, PORT.late)).includes('05'));
  client.child.stdin?.end('go\n');
  if (!HAS_REASONS) {
    await until('the pod has sent a reset', async () => (await resetsSent(pair.pod)) > 0);
    return sawNothing(t, watch, pair.pod, PORT.late);
  }
  const found = await sawReset(watch, pair.pod, PORT.late);
  t.match(found, { kind: 'time-wait', thisBug: false, pods: POD });
  t.match(found, { state: 'TCP_TIME_WAIT', reason: 'TCP_TIMEWAIT_SOCKET' });
  await endWatch(watch);
});

/** Hides the end of connections from the peer, as a lossy network or a node failure does. */
const SILENCE = `table ip silence {
  chain out {
    type filter hook output priority 0;
    tcp flags & (fin | rst) != 0 drop
  }
}`;

kernelTest('a reset of another cause is named by it: data-after-close', async (t, pair) => {
  await serve(pair.pod, 'late');
  await pair.pod.must('nft', ['-f', '-'], { input: SILENCE });
  const watch = await startWatch(pair);
  const client = startCall(pair.gateway, 'late', 'unnoticed');
  await client.waitForOutput(/waits/);
  await until('the server has closed', async () => (await statesAt(pair.pod, PORT.late)).includes('04'));
  // The filter is still in place: if the FIN arrived, the client would have no connection to send on.
  client.child.stdin?.end('go\n');
  if (!HAS_REASONS) {
    // Linux 5.10 reported nothing. Any report must not be this bug.
    await until('the pod has sent a reset', async () => (await resetsSent(pair.pod)) > 0);
    await endWatch(watch);
    const reports = await resetsOf(watch, pair.pod, PORT.late);
    return void t.same(
      reports.filter(({ thisBug }) => thisBug),
      [],
    );
  }
  const found = await sawReset(watch, pair.pod, PORT.late);
  t.match(found, { kind: 'data-after-close', thisBug: false, pods: POD, reason: 'TCP_ABORT_ON_DATA' });
  await endWatch(watch);
});

kernelTest('a segment at a listener, without an INVALID packet, belongs to an unknown connection', async (t, pair) => {
  await serve(pair.pod, 'abort');
  await pair.pod.must('nft', ['-f', '-'], { input: SILENCE });
  const watch = await startWatch(pair);
  const client = startCall(pair.gateway, 'abort', 'unnoticed');
  await client.waitForOutput(/waits/);
  t.match(await sawReset(watch, pair.pod, PORT.abort), reported('aborted', 'TCP_STATE', 'own-connection'));
  await pair.pod.must('nft', ['delete', 'table', 'ip', 'silence']);
  client.child.stdin?.end('go\n');
  await until('the second reset is reported', async () => (await resetsOf(watch, pair.pod, PORT.abort)).length > 1);
  const [, found] = await resetsOf(watch, pair.pod, PORT.abort);
  t.match(found, { thisBug: false, pods: POD, foundBy: 'listener', state: 'TCP_LISTEN' });
  t.match(found, reported('unknown-connection', 'TCP_FLAGS'));
  await endWatch(watch);
});

kernelTest('nothing is left in tracefs, however the watch ends', async (t, pair) => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const watch = await startWatch(pair);
    t.equal(await hasInstance(watch), true, `${signal}: there while it watches`);
    t.match(await watch.stop(signal), { stderr: '', stdout: /"summary"/ });
    t.equal(await hasInstance(watch), false, `${signal}: gone afterwards`);
    t.same(await readdir(FOLDER), [], `${signal}: so is the folder it was mounted on`);
  }
  await serve(pair.pod, 'abort');
  const unread = await startWatch(pair);
  unread.child.stdout?.destroy();
  // Every kernel reports this reset, and only a report meets the closed output.
  await startCall(pair.gateway, 'abort').end();
  await unread.end();
  t.equal(await hasInstance(unread), false, 'gone when the reader of its output ends, as with | head');
  const killed = await startWatch(pair);
  await killed.stop('SIGKILL');
  t.equal(await hasInstance(killed), true, 'a run that is killed leaves its instance');
  await endWatch(await startWatch(pair));
  t.equal(await hasInstance(killed), false, 'the next run removes it');
});

kernelTest('without the privilege to trace it says so and what to do', async (t, { gateway }) => {
  const { exitCode, stdout } = await startContainer(gateway, containerSpec('check', [], '--explain', '--node')).end();
  t.equal(exitCode, 2);
  t.match(stdout, /TRACING_UNAVAILABLE.*kubectl debug node/);
});
