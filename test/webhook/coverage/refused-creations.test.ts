import { Registry } from 'prom-client';
import t from 'tap';
import { createCoverageMetrics, OTHER, refusedCounts } from '../../../webhook/coverage/coverage-metrics.ts';
import { coverageReport, coverageTable } from '../../../webhook/coverage/coverage-report.ts';
import { createCoverageStore } from '../../../webhook/coverage/coverage-store.ts';
import { createRefusedCreations, refusalEvent } from '../../../webhook/coverage/refused-creations.ts';

// As controllers of Kubernetes 1.34 write them.
const SECURITY =
  'Error creating: pods "store-6d4cf56db6-x7" is forbidden: violates PodSecurity "baseline:latest": non-default ' +
  'capabilities (container "invalid-drop-checker" must not include "NET_ADMIN" in securityContext.capabilities.add)';
const QUOTA =
  'create Pod web-0 in StatefulSet web failed error: pods "web-0" is forbidden: exceeded quota: quota, requested: ' +
  'limits.memory=256Mi, used: limits.memory=0, limited: limits.memory=200Mi';

function eventOf(
  name: string,
  kind: string,
  message: string,
  lastTimestamp = '2030-01-01T00:00:00Z',
  namespace = 'storage',
) {
  const metadata = { name: `${name}.17f`, namespace, creationTimestamp: '2029-12-31T00:00:00Z' };
  return { metadata, involvedObject: { kind, name, namespace }, reason: 'FailedCreate', message, lastTimestamp };
}

function refusedOf(...events: ReturnType<typeof eventOf>[]) {
  const refused = createRefusedCreations((namespace) => namespace !== 'other');
  for (const event of events) {
    const item = refusalEvent(event);
    if (item) refused.put(item);
  }
  return refused;
}

t.test('who could not create pods, why, and whether the refusal names what we add', async (t) => {
  const events = [eventOf('web', 'StatefulSet', QUOTA), eventOf('store-6d4cf56db6', 'ReplicaSet', SECURITY)];
  t.strictSame(refusedOf(...events).list(), [
    {
      namespace: 'storage',
      owner: 'ReplicaSet/store-6d4cf56db6',
      message: SECURITY,
      namesOurs: true,
      lastSeen: '2030-01-01T00:00:00Z',
    },
    {
      namespace: 'storage',
      owner: 'StatefulSet/web',
      message: QUOTA,
      namesOurs: false,
      lastSeen: '2030-01-01T00:00:00Z',
    },
  ]);
});

t.test('Events of claims, of namespaces that are not opted in, and what is no Event', async (t) => {
  const claim = 'create Claim data-web-0 for Pod web-0 in StatefulSet web failed error: forbidden';
  t.equal(refusalEvent(eventOf('web', 'StatefulSet', claim)), undefined);
  t.equal(refusalEvent({}), undefined);
  t.equal(refusalEvent({ message: SECURITY }), undefined);
  t.same(refusedOf(eventOf('web', 'StatefulSet', QUOTA, '', 'other')).list(), []);
});

t.test('of an owner the last refusal is told, until its Event is gone', async (t) => {
  const first = eventOf('web', 'StatefulSet', QUOTA);
  first.metadata.name = 'another';
  const later = { ...eventOf('web', 'StatefulSet', SECURITY.replace('Error creating', 'create Pod web-0 failed')) };
  const series = { lastObservedTime: '2030-01-01T00:10:00.000000Z' };
  const refused = refusedOf(first, { ...later, ...{ series } });
  t.match(refused.list(), [{ lastSeen: '2030-01-01T00:10:00.000000Z' }]);
  const gone = refusalEvent(later);
  if (gone) refused.remove(gone);
  t.match(refused.list(), [{ message: QUOTA }]);
  refused.replace([]);
  t.same(refused.list(), []);
});

t.test('a flood of Events and long messages stay bounded', async (t) => {
  const many = Array.from({ length: 3000 }, (_, i) =>
    eventOf(`web-${i}`, 'Job', `Error creating: ${'x'.repeat(9000)}`),
  );
  const list = refusedOf(...many).list();
  t.equal(list.length, 1000);
  t.ok(list.every(({ message }) => message.length === 400));
  const report = coverageReport({ store: makeStore(), synced: true, refused: () => list });
  t.equal(report.refused.length, 100);
  t.equal(report.refusedMore, 900);
  t.match(coverageTable(report), /and 900 more/);
});

function makeStore() {
  return createCoverageStore(
    () => {},
    () => 0,
  );
}

t.test('the report has those of one namespace, the table its own part', async (t) => {
  const refused = refusedOf(eventOf('web', 'StatefulSet', QUOTA)).list();
  const store = makeStore();
  t.equal(coverageReport({ store, synced: true, refused: () => refused }, 'storage').refused.length, 1);
  const none = coverageReport({ store, synced: true, refused: () => refused }, 'media');
  t.same(none.refused, []);
  t.notMatch(coverageTable(none), 'CANNOT');
  const withheld = coverageReport({ store, synced: true, refused: () => refused }, '', 'withheld');
  t.match(withheld, { refused: [], refusedMore: 1 });
  t.match(coverageTable(withheld), '1 workloads cannot create pods');
  t.match(
    coverageTable(coverageReport({ store, synced: true, refused: () => refused })),
    /NAMESPACE +CANNOT CREATE PODS +WHY\nstorage +StatefulSet\/web +create Pod web-0/,
  );
});

t.test('the metric tells our refusals from others, in a bounded number of namespaces', async (t) => {
  const registry = new Registry();
  const events = [
    eventOf('web', 'StatefulSet', QUOTA),
    eventOf('a', 'ReplicaSet', SECURITY),
    eventOf('b', 'Job', SECURITY),
  ];
  createCoverageMetrics(registry, () => ({ store: makeStore(), synced: true, refused: refusedOf(...events).list }));
  const text = await registry.metrics();
  t.match(text, 'invalid_drop_coverage_refused_creations{namespace="storage",cause="invalid-drop"} 2');
  t.match(text, 'invalid_drop_coverage_refused_creations{namespace="storage",cause="other"} 1');
  const many = Array.from({ length: 300 }, (_, i) => eventOf('a', 'Job', SECURITY, '', `n${i}`));
  const counts = refusedCounts(refusedOf(...many).list());
  t.equal(counts.size, 101);
  t.same(counts.get(OTHER), { ours: 200, other: 0 });
});
