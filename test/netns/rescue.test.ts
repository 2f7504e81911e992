// Connections that would hang, rescued by the shipped checker: many at once, and where something is in its way.
import { readdir, symlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { CheckerReport } from '../../lib/checker/checker-report.ts';
import { readNotes } from '../../lib/checker/noted-connections.ts';
import { kernelTest } from '../harness/netns/netns-test.ts';
import { ADDRESS, type NetworkNamespace } from '../harness/netns/network-namespaces.ts';
import { patient } from '../harness/netns/processes.ts';
import { eventsOf, getPage, install, startChecker } from '../harness/netns/shipped-programs.ts';
import type { ConnectionFate } from '../harness/netns/stray-kinds.ts';
import type { ChangedExchange } from '../harness/never-worse/changed-exchange.ts';
import { ExchangeObserver } from '../harness/never-worse/observe-exchanges.ts';
import { until } from '../harness/wait-until.ts';

const BOTH = ['NET_ADMIN', 'NET_RAW'];
/** Milliseconds for connections that will not get on. */
const SHORT = patient(3000);
/** A connection's first window, and half of it: conntrack takes the segment for sent (Linux 5.15.68 and later). */
const HALF_OVER = 65_160 + 30_000;

/** Redirected connections that would be reset or hang, both families. */
function redirected(count: number): ChangedExchange[] {
  const one = { route: 'redirected', segment: 'request', change: { sequence: HALF_OVER }, script: 0 } as const;
  return Array.from({ length: count }, (_, seed) => ({ ...one, seed, family: seed % 2 === 0 ? 'ipv4' : 'ipv6' }));
}

async function fates(
  observer: ExchangeObserver,
  count: number,
  limit?: number,
): Promise<Partial<Record<ConnectionFate, number>>> {
  const counts: Partial<Record<ConnectionFate, number>> = {};
  for (const { fate } of await observer.observe(redirected(count), limit)) counts[fate] = (counts[fate] ?? 0) + 1;
  return counts;
}

async function straysOf(pod: NetworkNamespace): Promise<CheckerReport['strays']> {
  return JSON.parse((await getPage(pod, 'http://127.0.0.1:15099/selfcheck')).body).strays;
}

for (const backend of ['nft', 'legacy'] as const) {
  kernelTest(`connections that would hang are fine, and their peer is told (${backend})`, async (t, pair) => {
    const observer = await ExchangeObserver.start(pair);
    t.equal((await install(pair.pod, { INVALID_DROP_BACKEND: backend }, BOTH)).exitCode, 0);
    const checker = await startChecker(pair.pod, {}, BOTH);
    t.same(await fates(observer, 20), { fine: 20 });
    const strays = await straysOf(pair.pod);
    t.match(strays, { rescue: 'enabled', failed: 0 });
    t.ok(strays.rescued >= 20, `${strays.rescued} rescued`);
    t.same(new Set(strays.peers.map(({ peer }) => peer)), new Set(Object.values(ADDRESS.gateway)));
    const lines = eventsOf(checker).filter(({ event }) => event === 'rescued');
    t.match(lines[0], { peer: String, peerPort: Number, port: 9000, segments: Number });
    t.equal(lines.length, 10, 'ten lines a minute');
  });
}

kernelTest('connections that the pod opened are rescued too', async (t, pair) => {
  const observer = await ExchangeObserver.start(pair);
  t.equal((await install(pair.pod)).exitCode, 0);
  await startChecker(pair.pod);
  const own = redirected(4).map((one) => ({ ...one, route: 'outbound', segment: 'answer' }) as const);
  const observed = await observer.observe(own);
  t.same(
    observed.map(({ fate }) => fate),
    own.map(() => 'fine'),
  );
  await until('all are rescued', async () => (await straysOf(pair.pod)).rescued >= own.length);
  t.equal((await straysOf(pair.pod)).failed, 0);
});

kernelTest('a rescue leaves the timeout as it was', async (t, pair) => {
  const observer = await ExchangeObserver.start(pair);
  t.equal((await install(pair.pod)).exitCode, 0);
  await startChecker(pair.pod);
  t.same(await fates(observer, 2), { fine: 2 });
  const listed = await pair.pod.must('conntrack', ['-L', '-f', 'ipv4', '-p', 'tcp', '--orig-port-dst', '9000']);
  const timeouts = [...listed.matchAll(/^tcp +6 (\d+) ESTABLISHED/gm)].map(([, seconds]) => Number(seconds));
  t.ok(timeouts.length > 0);
  for (const seconds of timeouts) t.ok(seconds <= 432_000, `${seconds} s`);
});

kernelTest('a thousand connections at once', async (t, pair) => {
  const observer = await ExchangeObserver.start(pair);
  t.equal((await install(pair.pod)).exitCode, 0);
  await startChecker(pair.pod);
  // Each rescue takes two programs, of which one reads all of conntrack's table.
  const many = Math.round(1000 / patient(1));
  t.same(await fates(observer, many, patient(180_000)), { fine: many });
  t.match(await straysOf(pair.pod), { failed: 0 });
});

kernelTest('full notes are emptied of what no connection belongs to', async (t, pair) => {
  const { pod } = pair;
  const observer = await ExchangeObserver.start(pair);
  t.equal((await install(pod)).exitCode, 0);
  for (const [set, prefix] of [
    ['strays4', '192.0.2.'],
    ['strays6', '2001:db8::'],
  ]) {
    const elements = Array.from({ length: 1024 }, (_, i) => `${prefix}1 . ${1024 + i} . ${prefix}2 . 9000`);
    await pod.must('nft', ['-f', '-'], { input: `add element inet invalid-drop ${set} { ${elements.join(', ')} }\n` });
  }
  await startChecker(pod);
  t.same(await fates(observer, 4), { fine: 4 });
});

kernelTest('a conntrack table that is nearly full', async (t, pair) => {
  const { pod } = pair;
  const observer = await ExchangeObserver.start(pair);
  t.equal((await install(pod)).exitCode, 0);
  await startChecker(pod);
  const limit = Number(await pod.must('sysctl', ['-n', 'net.netfilter.nf_conntrack_max']));
  const count = Math.round((limit * 0.9) / patient(1));
  const input = Array.from({ length: count }, (_, i) => {
    const source = `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`;
    return `-I -p tcp -s ${source} -d 198.51.100.1 --sport 1024 --dport 80 --state ESTABLISHED -t 600\n`;
  });
  const folder = t.testdir({ entries: input.join('') });
  await pod.must('conntrack', ['-R', `${folder}/entries`], { limit: 120_000 });
  const known = Number(await pod.must('conntrack', ['-C']));
  t.ok(known >= count, `${known} of ${limit}`);
  // A rescue reads all entries: the better part of a second.
  t.same(await fates(observer, 4), { fine: 4 });
});

kernelTest('where nothing reports changes, connections are rescued all the same', async (t, pair) => {
  const { pod } = pair;
  const observer = await ExchangeObserver.start(pair);
  t.equal((await install(pod)).exitCode, 0);
  const checker = await startChecker(pod, { PATH: await pathWithout('xtables-monitor', t.testdir({})) });
  await checker.waitForOutput(/"event":"monitor-ended"/);
  t.same(await fates(observer, 4), { fine: 4 });
});

kernelTest('an alarm is raised for the first segment, and again after the notes were read', async (t, pair) => {
  const { pod } = pair;
  const observer = await ExchangeObserver.start(pair);
  t.equal((await install(pod)).exitCode, 0);
  const monitor = pod.start('nft', ['monitor']);
  const raised = () => monitor.output.match(/add quota ip6? invalid-drop alarm .* used/g)?.length ?? 0;
  // The monitor listens once it has told of a change.
  await until('the monitor listens', async () => {
    await pod.must('nft', ['add table inet probe; delete table inet probe']);
    return monitor.output.includes('probe');
  });
  await observer.observe(redirected(2), SHORT);
  t.equal(raised(), 1);
  await readNotesIn(pod);
  await observer.observe(redirected(2), SHORT);
  t.equal(raised(), 2);
});

kernelTest('a checker that is killed in the middle leaves its notes to the next', async (t, pair) => {
  const { pod } = pair;
  const observer = await ExchangeObserver.start(pair);
  t.equal((await install(pod)).exitCode, 0);
  const first = await startChecker(pod);
  const observed = fates(observer, 40);
  await until('the first connection is rescued', () => /"event":"rescued"/.test(first.output));
  await first.stop('SIGKILL');
  await startChecker(pod);
  t.same(await observed, { fine: 40 });
});

kernelTest('a failure is logged once and counted, and the pod stays ready', async (t, pair) => {
  const { pod } = pair;
  const observer = await ExchangeObserver.start(pair);
  t.equal((await install(pod)).exitCode, 0);
  const checker = await startChecker(pod, { PATH: await pathWithout('conntrack', t.testdir({})) });
  await observer.observe(redirected(4), SHORT);
  const { failed, rescued } = await straysOf(pod);
  t.ok(failed >= 4, `${failed} failed`);
  t.equal(rescued, 0);
  const lines = eventsOf(checker).filter(({ event }) => event === 'rescue-failed');
  t.match(lines, [{ code: 'COMMAND_MISSING', message: /conntrack is not installed/ }]);
  t.equal((await getPage(pod, 'http://127.0.0.1:15099/readyz')).status, 200);
});

kernelTest('rescue=disabled makes no connection liberal, and says so', async (t, pair) => {
  const observer = await ExchangeObserver.start(pair);
  t.equal((await install(pair.pod)).exitCode, 0);
  await startChecker(pair.pod, { INVALID_DROP_RESCUE: 'disabled' });
  await observer.observe(redirected(2), SHORT);
  t.match(await straysOf(pair.pod), { rescue: 'disabled', rescued: 0, segments: null });
});

/** As readNotes, in the namespace. */
async function readNotesIn(pod: NetworkNamespace): Promise<void> {
  const { segments } = await readNotes(10_000, async (command, args) => ({
    ...{ exitCode: 0, stderr: '' },
    stdout: await pod.must(command, args),
  }));
  if (segments === 0) throw new Error('no stray segment is noted');
}

/** A search path on which all programs of this machine's are but one. */
async function pathWithout(missing: string, folder: string): Promise<string> {
  const paths = [dirname(process.execPath), '/usr/sbin', '/usr/bin'];
  for (const path of paths) {
    for (const name of await readdir(path)) {
      if (name !== missing) await symlink(`${path}/${name}`, `${folder}/${name}`).catch(() => undefined);
    }
  }
  return folder;
}
