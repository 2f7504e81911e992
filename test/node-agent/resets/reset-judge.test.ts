import { mkdirSync, writeFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import type { Reset } from '../../../lib/resets/trace-line.ts';
import { ResetJudge } from '../../../node-agent/resets/reset-judge.ts';
import type { WatchedGuard, WatchedNamespace } from '../../../node-agent/resets/watched-namespace.ts';
import { noSocket, reset } from '../../lib/resets/made-resets.ts';

const GUARDED: WatchedGuard = { guarded: true, drift: 0, reason: 'INVALID TCP packets are dropped' };
const UNGUARDED: WatchedGuard = { guarded: false, drift: 0, reason: 'no rule drops INVALID TCP packets' };

/** Lines of /proc/net/tcp6 for listeners on all addresses. */
const listening = (ports: number[]) =>
  ports.map((port, i) => `${i}: ${'0'.repeat(32)}:${port.toString(16)} ${'0'.repeat(32)}:0000 0A 0\n`).join('');

interface Counted {
  invalid?: number;
  resets?: number;
  ports?: number[];
}

/** Pods whose /proc/net is a folder of files, which a test changes, and the judge of their resets. */
function start(t: Test) {
  const folder = t.testdir();
  const lines: Record<string, unknown>[] = [];
  const clock = { now: 100_000 };
  const judge = new ResetJudge(
    (level, event, details) => lines.push({ level, event, ...details }),
    () => clock.now,
  );
  const pods: WatchedNamespace[] = [];
  const paths: string[] = [];
  const count = (name: string, { invalid = 0, resets = 0, ports = [9000, 15_006] }: Counted) => {
    mkdirSync(`${folder}/${name}/stat`, { recursive: true });
    const write = (file: string, text: string) => writeFileSync(`${folder}/${name}/${file}`, text);
    write('snmp', `Tcp: ActiveOpens OutRsts\nTcp: 1 ${resets}\n`);
    write('stat/nf_conntrack', `entries invalid\n00000001 ${invalid.toString(16)}\n`);
    write('fib_trie', '|-- 10.0.0.7\n   /32 host LOCAL\n');
    write('tcp6', `sl\n${listening(ports)}`);
  };
  const add = (name: string, address: string, guard = UNGUARDED, counted: Counted = {}) => {
    count(name, counted);
    const netPath = (file: string) => {
      paths.push(`${name}/${file}`);
      return `${folder}/${name}/${file}`;
    };
    pods.push({ id: name, namespace: 'storage', pod: name, addresses: [address], netPath, guard });
  };
  /** Reads again, a second later. */
  const take = (...resets: Reset[]) => {
    const from = clock.now;
    clock.now += 1000;
    judge.take(resets, pods, from, clock.now);
  };
  const counts = () =>
    Object.fromEntries(
      judge.counts().map(({ namespace, pod, kind, resets }) => [`${namespace}/${pod} ${kind}`, resets]),
    );
  return { lines, clock, pods, paths, count, add, take, counts };
}

t.test('the bug of a pod that is not guarded is counted, and logged with the reason', async (t) => {
  const { lines, count, add, take, counts } = start(t);
  add('store-0', '10.0.0.7', UNGUARDED, { invalid: 40, resets: 50 });
  take();
  count('store-0', { invalid: 41, resets: 51 });
  take(reset());
  t.same(counts(), { 'storage/store-0 this-bug': 1 });
  t.same(lines, [
    {
      ...{ level: 'warn', event: 'preventable-reset', namespace: 'storage', pod: 'store-0', port: 9000, peer: null },
      ...{ state: 'TCP_LISTEN', reason: 'TCP_FLAGS', notLogged: 0 },
      why: 'the pod is not guarded: no rule drops INVALID TCP packets',
    },
  ]);
});

t.test('the peer is named where the kernel reports it', async (t) => {
  const { lines, count, add, take } = start(t);
  add('store-0', '10.0.0.7');
  take();
  count('store-0', { invalid: 1, resets: 1 });
  take(noSocket());
  t.match(lines, [{ peer: { address: '10.0.0.1', port: 40_000 }, state: null, reason: 'NO_SOCKET' }]);
});

t.test('a reset of a pod that was guarded all the time has another cause', async (t) => {
  const { lines, count, add, take, counts } = start(t);
  add('store-0', '10.0.0.7', GUARDED);
  take();
  count('store-0', { invalid: 1, resets: 1 });
  take(reset());
  t.same(counts(), {}, 'it waits: the guard may not have noticed that its rule is gone');
  for (let i = 0; i < 3; i++) take();
  t.same(counts(), { 'storage/store-0 unknown-connection': 1 });
  t.same(lines, []);
});

const LATER: [string, WatchedGuard, string][] = [
  ['that the rule is gone', UNGUARDED, 'the pod is not guarded: no rule drops INVALID TCP packets'],
  [
    'that it was gone, and has put it back',
    { ...GUARDED, drift: 1 },
    'the pod was not guarded when the reset was sent, and is since',
  ],
];
for (const [what, guard, why] of LATER) {
  t.test(`a guard that finds later ${what} makes a reset the bug`, async (t) => {
    const { lines, pods, count, add, take, counts } = start(t);
    add('store-0', '10.0.0.7', GUARDED);
    take();
    count('store-0', { invalid: 1, resets: 1 });
    take(reset());
    pods.splice(0, 1, { ...(pods[0] as WatchedNamespace), guard });
    for (let i = 0; i < 3; i++) take();
    t.same(counts(), { 'storage/store-0 this-bug': 1 });
    t.match(lines, [{ why }]);
  });
}

t.test(
  'a pod that is guarded since a moment was not when the reset was sent, and the next one is another',
  async (t) => {
    const { pods, count, add, take, counts } = start(t);
    add('store-0', '10.0.0.7');
    take();
    pods.splice(0, 1, { ...(pods[0] as WatchedNamespace), guard: GUARDED });
    count('store-0', { invalid: 1, resets: 1 });
    take(reset());
    t.same(counts(), { 'storage/store-0 this-bug': 1 });
    count('store-0', { invalid: 2, resets: 2 });
    for (const one of [[reset()], [], [], []]) take(...one);
    t.same(counts(), { 'storage/store-0 this-bug': 1, 'storage/store-0 unknown-connection': 1 });
  },
);

t.test('a reset of no known pod is counted as such, whatever listens on its port', async (t) => {
  const { count, add, take, counts } = start(t);
  add('store-0', '10.0.0.7');
  take();
  count('store-0', { invalid: 5 });
  take(reset(), noSocket('10.0.0.99'), { ...noSocket('10.0.0.99'), reason: 'TCP_ABORT_ON_DATA', state: 'TCP_CLOSE' });
  t.same(counts(), { '(other)/(other) cannot-tell': 2, '(other)/(other) data-after-close': 1 });
});

t.test('of pods that listen on the same port, each gets as many resets as it has sent', async (t) => {
  const { count, add, take, counts } = start(t);
  for (const [i, name] of ['a', 'b', 'c'].entries()) add(name, `10.0.0.${i}`);
  take();
  count('a', { invalid: 2, resets: 2 });
  count('b', { invalid: 1, resets: 1 });
  take(reset(), reset(), reset(), reset());
  t.same(counts(), {
    'storage/a this-bug': 2,
    'storage/b this-bug': 1,
    '(other)/(other) cannot-tell': 1,
  });
});

t.test('a reset that its address attributes does not make its pod a sender of others', async (t) => {
  const { count, add, take, counts } = start(t);
  add('store-0', '10.0.0.7');
  take();
  count('store-0', { invalid: 1, resets: 1 });
  take(reset(), { ...noSocket('10.0.0.7'), reason: 'TCP_ABORT_ON_DATA', state: 'TCP_CLOSE' });
  t.same(counts(), { 'storage/store-0 data-after-close': 1, '(other)/(other) cannot-tell': 1 });
});

t.test('INVALID packets of long ago explain nothing', async (t) => {
  const { clock, count, add, take, counts } = start(t);
  add('store-0', '10.0.0.7');
  take();
  count('store-0', { invalid: 5 });
  for (let i = 0; i < 3; i++) {
    clock.now += 10_000;
    take();
  }
  count('store-0', { invalid: 5, resets: 1 });
  take(noSocket('10.0.0.7', 8080));
  t.same(counts(), { 'storage/store-0 closed-port': 1 });
});

t.test('a pod that cannot be looked into is not accused', async (t) => {
  const { pods, add, take, counts } = start(t);
  add('store-0', '10.0.0.7');
  const netPath = () => {
    throw new Error('no process of ours is in it');
  };
  pods.splice(0, 1, { ...(pods[0] as WatchedNamespace), netPath });
  take(noSocket());
  t.same(counts(), { 'storage/store-0 cannot-tell': 1 });
});

t.test('a pod is found by its address as soon as that is known', async (t) => {
  const { pods, add, take, counts } = start(t);
  add('store-0', '10.0.0.7');
  const [pod] = pods.splice(0) as [WatchedNamespace];
  const hidden = () => {
    throw new Error('no process of ours is in it');
  };
  const ordinary = { ...noSocket('10.0.0.7'), reason: 'TCP_ABORT_ON_DATA', state: 'TCP_CLOSE' };
  const steps = [
    { ...pod, addresses: [], netPath: hidden },
    { ...pod, addresses: [] },
  ];
  for (const step of steps) {
    pods.splice(0, 1, step);
    take(ordinary);
  }
  t.same(counts(), { '(other)/(other) data-after-close': 1, 'storage/store-0 data-after-close': 1 });
  pods.splice(0, 1, { ...pod, pod: 'store-1', addresses: [], netPath: hidden });
  take(ordinary);
  t.same(counts(), { '(other)/(other) data-after-close': 2 }, 'another pod with the same inode number is not it');
  pods.splice(0, 1, { ...pod, pod: 'store-1', netPath: hidden });
  take(ordinary);
  t.same(counts(), { '(other)/(other) data-after-close': 2, 'storage/store-1 data-after-close': 1 });
});

t.test('the counts of a pod go with it, those of no known pod stay', async (t) => {
  const { pods, count, add, take, counts } = start(t);
  add('store-0', '10.0.0.7');
  take();
  count('store-0', { resets: 1 });
  take(noSocket('10.0.0.7', 8080), noSocket('10.9.9.9'));
  t.same(counts(), { 'storage/store-0 closed-port': 1, '(other)/(other) cannot-tell': 1 });
  pods.length = 0;
  take();
  t.same(counts(), { '(other)/(other) cannot-tell': 1 });
});

t.test('of many resets of a pod one is logged every ten seconds, with how many were not', async (t) => {
  const { lines, clock, count, add, take, counts } = start(t);
  add('store-0', '10.0.0.7');
  take();
  count('store-0', { invalid: 100, resets: 100 });
  take(...Array.from({ length: 100 }, () => reset()));
  t.equal(lines.length, 1);
  clock.now += 10_000;
  count('store-0', { invalid: 101, resets: 101 });
  take(reset());
  t.match(lines, [{ notLogged: 0 }, { notLogged: 99 }]);
  t.same(counts(), { 'storage/store-0 this-bug': 101 });
});

t.test('the sockets of a few pods are read each time, and where nothing was sent of none', async (t) => {
  const { paths, count, add, take, counts } = start(t);
  const names = Array.from({ length: 12 }, (_, i) => `pod-${i}`);
  for (const [i, name] of names.entries()) add(name, `10.0.0.${i}`);
  const reads = () => paths.splice(0).filter((path) => path.endsWith('/tcp6')).length;
  take();
  take(reset());
  t.equal(reads(), 0);
  for (const name of names) count(name, { resets: 1 });
  take(reset());
  t.equal(reads(), 5);
  t.same(Object.keys(counts()), ['(other)/(other) cannot-tell', 'storage/pod-0 unknown-connection']);
});
