import t from 'tap';
import { coverageReport, coverageTable } from '../../../webhook/coverage/coverage-report.ts';
import { type Change, createCoverageStore } from '../../../webhook/coverage/coverage-store.ts';
import { STARTING_SECONDS } from '../../../webhook/coverage/pod-reason.ts';
import { createProjection, type SeenPod } from '../../../webhook/coverage/pod-record.ts';
import { gatedPod, IMAGE, injectedPod, NOW, OLDER, plainPod } from './made-pods.ts';

const project = createProjection(IMAGE);
const COVERED = { optedInAt: NOW - 7200, forbidsNetAdmin: false, placement: 'pod' as const };
const seen = (pod: ReturnType<typeof plainPod>): SeenPod => {
  const one = project(pod);
  if (one === undefined) throw new Error('no pod');
  return one;
};

function storeAt(clock = { now: NOW }) {
  const changes: Change[] = [];
  const store = createCoverageStore(
    (change) => changes.push(change),
    () => clock.now,
  );
  store.cover('storage', COVERED);
  return { store, changes, clock };
}

t.test('pods of other namespaces are not counted', async (t) => {
  const { store } = storeAt();
  store.put(seen(plainPod({ namespace: 'other' })));
  t.strictSame(store.counts(), [{ namespace: 'storage', placement: 'pod', counts: {} }]);
});

t.test('agents can be asked about pods that they guard, by node and uid', async (t) => {
  const { store } = storeAt();
  const spec = { nodeName: 'node-1' };
  const guarded = gatedPod({ status: 'True', reason: 'Guarded' }, { spec });
  store.put(seen(guarded));
  const [one] = [...store.agentPods()];
  t.match(one, { namespace: 'storage', pod: 'store-0', node: 'node-1', uid: 'uid-of-store-0' });
  store.put(seen(guarded));
  t.equal([...store.agentPods()][0]?.identity, one?.identity);
  for (const pod of [gatedPod(undefined, { spec }), gatedPod({ status: 'False', reason: 'NotGuarded' }, { spec })]) {
    store.put(seen(pod));
    t.strictSame([...store.agentPods()], []);
  }
  store.put(seen(injectedPod({ spec })));
  t.strictSame([...store.agentPods()], [], 'its checker is asked');
});

t.test('each change is told once, with the owner', async (t) => {
  const { store, changes } = storeAt();
  const pod = seen(injectedPod({ checker: 'running', checkerSince: NOW - 3600 }));
  store.put(pod);
  store.put(pod);
  store.put(seen(injectedPod()));
  store.put(seen(injectedPod({ status: { phase: 'Succeeded' } })));
  t.strictSame(
    changes.map(({ from, to }) => [from, to]),
    [
      [undefined, 'checker-not-ready'],
      ['checker-not-ready', 'guarded'],
      ['guarded', undefined],
    ],
  );
  t.match(changes[0]?.owner, { kind: 'Pod', name: 'store-0' });
});

t.test('a checker that does not get Ready is told by the clock alone', async (t) => {
  const { store, changes, clock } = storeAt();
  store.put(seen(injectedPod({ checker: 'running', checkerSince: NOW })));
  store.tick();
  clock.now += STARTING_SECONDS;
  store.tick();
  store.tick();
  t.strictSame(
    changes.map(({ to }) => to),
    ['starting', 'checker-not-ready'],
  );
  t.match(changes[1]?.owner, { kind: 'Pod', name: 'store-0' }, 'and with the owner, who can then be told');
});

t.test('the owner of a pod that starts is still known when its namespace changes meanwhile', async (t) => {
  const { store, changes, clock } = storeAt();
  store.put(seen(injectedPod({ checker: 'running', checkerSince: NOW })));
  store.cover('storage', { ...COVERED, optedInAt: NOW });
  clock.now += STARTING_SECONDS;
  store.tick();
  t.match(changes[1], { to: 'checker-not-ready', owner: { name: 'store-0' } });
});

t.test('a list replaces what was known, and a namespace takes its pods with it', async (t) => {
  const { store } = storeAt();
  store.put(seen(injectedPod({ name: 'a' })));
  store.put(seen(injectedPod({ name: 'b' })));
  store.replace([seen(injectedPod({ name: 'b' })), seen(plainPod({ name: 'c' }))]);
  t.strictSame([...store.pods()].map(({ pod }) => pod).sort(), ['b', 'c']);
  store.uncover('storage');
  t.strictSame([...store.pods()], []);
  t.strictSame(store.names(), []);
});

t.test('what changes in a namespace changes its pods', async (t) => {
  const { store } = storeAt();
  store.put(seen(plainPod()));
  t.equal(store.cover('storage', { ...COVERED, forbidsNetAdmin: true }), false);
  t.strictSame(store.counts()[0]?.counts, { 'pod-security': 1 });
});

t.test('a pod that no agent takes up is told by the clock alone, with the owner', async (t) => {
  const { store, changes, clock } = storeAt();
  store.cover('storage', { ...COVERED, placement: 'node' });
  store.put(seen(gatedPod(undefined, { networkSince: NOW })));
  store.tick();
  clock.now += STARTING_SECONDS;
  store.tick();
  store.tick();
  store.put(seen(gatedPod({ status: 'True', reason: 'Guarded' })));
  t.strictSame(
    changes.map(({ to }) => to),
    ['starting', 'agent-waiting', 'guarded-by-agent'],
  );
  t.match(changes[1]?.owner, { kind: 'Pod', name: 'store-0' });
});

t.test('a namespace that is switched keeps what guards its pods', async (t) => {
  const { store } = storeAt();
  store.put(seen(injectedPod({ name: 'a' })));
  store.put(seen(plainPod({ name: 'b', status: { podIP: '10.0.0.8' } })));
  store.cover('storage', { ...COVERED, optedInAt: NOW, placement: 'node' });
  t.strictSame(store.counts(), [{ namespace: 'storage', placement: 'node', counts: { guarded: 1, starting: 1 } }]);
  store.put(seen(gatedPod({ status: 'True', reason: 'Guarded' }, { name: 'b' })));
  store.cover('storage', { ...COVERED, optedInAt: NOW });
  t.strictSame(store.counts(), [
    { namespace: 'storage', placement: 'pod', counts: { guarded: 1, 'guarded-by-agent': 1 } },
  ]);
});

t.test('after any order of events the counts are those of a recount', async (t) => {
  const { store, clock } = storeAt();
  const seed = Number(process.env['SEED'] ?? 1);
  let state = seed;
  const random = (below: number) => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((state / 2_147_483_648) * below);
  };
  const shapes = [
    injectedPod,
    plainPod,
    (change: object) => injectedPod({ ...change, image: OLDER }),
    (change: object) => injectedPod({ ...change, checker: 'running', checkerSince: clock.now }),
    (change: object) => injectedPod({ ...change, status: { phase: 'Failed' } }),
  ];
  const namespaces = ['storage', 'media', 'logs'];
  for (let event = 0; event < 10_000; event++) {
    const namespace = namespaces[random(3)] ?? '';
    const shape = shapes[random(shapes.length)] ?? plainPod;
    const pod = seen(shape({ name: `pod-${random(40)}`, namespace }));
    const what = random(100);
    if (what < 60) store.put(pod);
    else if (what < 85) store.remove(pod);
    else if (what < 90) store.cover(namespace, { ...COVERED, forbidsNetAdmin: random(2) === 0 });
    else if (what < 93) store.uncover(namespace);
    else if (what < 94) store.replace([pod]);
    else {
      clock.now += 10;
      store.tick();
    }
  }
  const recount: Record<string, Record<string, number>> = {};
  for (const { namespace, reason } of store.pods()) {
    const counts = recount[namespace] ?? {};
    recount[namespace] = { ...counts, [reason]: (counts[reason] ?? 0) + 1 };
  }
  for (const { namespace, counts } of store.counts())
    t.strictSame({ ...counts }, recount[namespace] ?? {}, `seed ${seed}`);
});

t.test('the report and its table', async (t) => {
  const { store } = storeAt();
  store.cover('media', COVERED);
  store.put(seen(injectedPod({ name: 'a' })));
  store.put(seen(plainPod({ name: 'b' })));
  store.put(seen(injectedPod({ name: 'c', namespace: 'media' })));
  const report = coverageReport({ store, synced: true, refused: () => [] });
  t.match(report, {
    synced: true,
    total: 3,
    guarded: 2,
    share: 2 / 3,
    reasons: { guarded: 2, 'webhook-missed': 1 },
    notGuarded: [{ namespace: 'storage', pod: 'b', reason: 'webhook-missed' }],
    notGuardedMore: 0,
  });
  t.match(coverageReport({ store, synced: true, refused: () => [] }, 'media'), {
    total: 1,
    guarded: 1,
    share: 1,
    notGuarded: [],
  });
  t.equal(coverageReport({ store, synced: false, refused: () => [] }, 'nobody').share, null);
  const table = coverageTable(report);
  t.match(table, /^2 of 3 pods in 2 namespaces are guarded\n/);
  t.match(table, /^storage +pod +2 +1 +1 webhook-missed$/m);
  t.match(table, /^storage +b +webhook-missed +it was created after/m);
});

t.test('only a thousand pods are named, and the rest counted', async (t) => {
  const { store } = storeAt();
  for (let index = 0; index < 1005; index++) store.put(seen(plainPod({ name: `p${index}` })));
  const report = coverageReport({ store, synced: true, refused: () => [] });
  t.equal(report.notGuarded.length, 1000);
  t.equal(report.notGuardedMore, 5);
  t.match(coverageTable(report), /and 5 more/);
});
