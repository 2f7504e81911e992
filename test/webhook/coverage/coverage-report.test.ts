import { Registry } from 'prom-client';
import t from 'tap';
import { ApiError } from '../../../lib/cluster/api-error.ts';
import type { ClusterClient } from '../../../lib/cluster/cluster-client.ts';
import type { JsonObject } from '../../../lib/json.ts';
import type { PageRequest } from '../../../lib/page-server.ts';
import { boundedCounts, createCoverageMetrics, OTHER } from '../../../webhook/coverage/coverage-metrics.ts';
import { COVERAGE_REASONS } from '../../../webhook/coverage/coverage-reasons.ts';
import { coveragePage } from '../../../webhook/coverage/coverage-report.ts';
import { type Change, createCoverageStore } from '../../../webhook/coverage/coverage-store.ts';
import { createEventSender, eventFor } from '../../../webhook/coverage/owner-events.ts';
import { createChangeLog } from '../../../webhook/coverage/start-coverage.ts';

const OWNER = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'store', uid: 'u-1' };
const change = (part: Partial<Change> = {}): Change => ({
  namespace: 'storage',
  pod: 'store-0',
  from: undefined,
  to: 'webhook-missed',
  owner: OWNER,
  ...part,
});
const NOW = new Date('2030-01-01T00:00:00.500Z');

t.test('an Event is about the owner, in plain words, with what to do', async (t) => {
  const event = eventFor(change(), NOW);
  t.match(event, {
    metadata: { namespace: 'storage' },
    involvedObject: { ...OWNER, namespace: 'storage' },
    type: 'Warning',
    reason: 'NotGuarded',
    firstTimestamp: '2030-01-01T00:00:00Z',
  });
  t.match(event?.['message'], /such as store-0, are not guarded: webhook-missed: .*kubectl rollout restart/);
  t.ok(String(event?.['message']).length < 1024, 'the API server refuses longer ones');
});

t.test('nothing is said where the owner has nothing to do, or nobody is known', async (t) => {
  for (const to of ['guarded', 'opted-out', 'starting', 'host-network', undefined] as const) {
    t.equal(eventFor(change({ to }), NOW), undefined, String(to));
  }
  t.equal(eventFor(change({ owner: undefined }), NOW), undefined);
});

t.test('two replicas make the same name; another owner or reason makes another', async (t) => {
  const name = (part: Partial<Change>) => (eventFor(change(part), NOW) as { metadata: JsonObject }).metadata['name'];
  t.equal(name({}), name({ pod: 'store-7' }));
  t.not(name({}), name({ to: 'created-before-opt-in' }));
  t.not(name({}), name({ owner: { ...OWNER, uid: 'u-2' } }));
  t.ok(String(name({ owner: { ...OWNER, name: 'x'.repeat(253) } })).length <= 253);
  const cut = name({ owner: { ...OWNER, name: `${'x'.repeat(199)}-${'x'.repeat(20)}` } });
  t.match(cut, /^x{199}\.[0-9a-f]{16}$/, 'no part of a name may end in a hyphen');
});

function sender(answer: (body: JsonObject) => void = () => {}) {
  const sent: JsonObject[] = [];
  const counted: string[] = [];
  const covered = new Set(['storage']);
  const clock = { now: NOW.getTime() };
  const client = {
    create: async (_path: string, body: JsonObject) => {
      answer(body);
      sent.push(body);
      return body;
    },
  } as unknown as ClusterClient;
  const log = { warn: () => {} };
  return {
    sent,
    counted,
    clock,
    covered,
    ...createEventSender({
      client,
      count: (result) => counted.push(result),
      covers: (namespace) => covered.has(namespace),
      log,
      now: () => clock.now,
    }),
  };
}

t.test('an owner is told once an hour, however many pods it has', async (t) => {
  const { note, tick, sent, clock } = sender();
  for (let pod = 0; pod < 20; pod++) note(change({ pod: `store-${pod}` }));
  await tick();
  t.equal(sent.length, 1);
  clock.now += 3_600_000;
  note(change());
  await tick();
  t.equal(sent.length, 2);
});

t.test('nothing is written into a namespace that has been opted out since, or is being deleted', async (t) => {
  const { note, tick, sent, covered } = sender();
  note(change());
  covered.clear();
  await tick();
  t.equal(sent.length, 0);
});

t.test('many owners are told slowly, too many not at all, and all of it is counted', async (t) => {
  const { note, tick, sent, counted, waiting } = sender();
  for (let owner = 0; owner < 1200; owner++) note(change({ owner: { ...OWNER, uid: `u-${owner}` } }));
  t.equal(waiting(), 1000);
  await tick();
  t.equal(sent.length, 50);
  await tick();
  t.equal(sent.length, 51);
  t.equal(counted.filter((result) => result === 'dropped').length, 200);
});

t.test('another replica that was first is no failure', async (t) => {
  const codes = [409, 500];
  const { note, tick, counted } = sender(() => {
    throw new ApiError(codes.shift() ?? 0, '', 'no');
  });
  note(change());
  note(change({ to: 'created-before-opt-in' }));
  await tick();
  t.strictSame(counted, ['exists', 'failed']);
});

t.test('an Event that could not be written may be tried again at the next change', async (t) => {
  let fails = true;
  const { note, tick, sent } = sender(() => {
    if (fails) throw new ApiError(500, '', 'no');
  });
  note(change());
  await tick();
  fails = false;
  note(change({ pod: 'store-1' }));
  await tick();
  t.equal(sent.length, 1);
});

t.test('the log has a line for each kind of change; pods that come up guarded are no news', async (t) => {
  const log = createChangeLog();
  for (let pod = 0; pod < 5000; pod++) log.note(change({ pod: `p-${pod}` }));
  log.note(change({ to: 'guarded' }));
  log.note(change({ from: 'guarded', to: undefined }));
  log.note(change({ from: 'checker-not-ready', to: 'guarded', pod: 'well' }));
  t.strictSame(log.take(), {
    lines: [
      { namespace: 'storage', from: 'new', to: 'webhook-missed', pods: 5000, example: 'p-0' },
      { namespace: 'storage', from: 'checker-not-ready', to: 'guarded', pods: 1, example: 'well' },
    ],
    more: 0,
  });
  t.strictSame(log.take(), { lines: [], more: 0 });
  for (let namespace = 0; namespace < 60; namespace++) log.note(change({ namespace: `n-${namespace}` }));
  const { lines, more } = log.take();
  t.strictSame([lines.length, more], [50, 10]);
});

t.test('the metric names the namespaces with the most open pods, and sums the rest', async (t) => {
  const all = Array.from({ length: 150 }, (_, index) => ({
    namespace: `n-${index}`,
    counts: index === 149 ? { 'webhook-missed': 3 } : { guarded: 1 },
  }));
  const bounded = boundedCounts(all);
  t.equal(bounded.length, 101);
  t.equal(bounded[0]?.namespace, 'n-149');
  t.strictSame(bounded[100], { namespace: OTHER, counts: { guarded: 50 } });
  t.equal(boundedCounts(all.slice(0, 100)).length, 100);
});

/** Of a pod that has no container of ours. */
/** Neither a checker nor an agent can be asked about the pod. */
const UNASKED = { checkerIp: '', checkerPort: 0, agentNode: '', agentUid: '' };
const FACTS = {
  leftAlone: undefined,
  own: 'none',
  install: 'absent',
  checker: 'absent',
  unpulled: false,
  observes: false,
  ephemeral: false,
  liberal: false,
  agent: undefined,
} as const;

t.test('the gauges follow the store, and a namespace that is gone leaves no sample', async (t) => {
  const registry = new Registry();
  const store = createCoverageStore(
    () => {},
    () => 0,
  );
  createCoverageMetrics(registry, () => ({ store, synced: true, refused: () => [] }));
  store.cover('storage', { optedInAt: undefined, forbidsNetAdmin: false, placement: 'pod' });
  store.put({
    record: { namespace: 'storage', name: 'a', facts: FACTS, created: 0, startedAt: 0, ...UNASKED },
    owner: OWNER,
    gone: false,
  });
  t.match(await registry.metrics(), 'invalid_drop_coverage_pods{namespace="storage",reason="created-before-opt-in"} 1');
  t.match(await registry.metrics(), 'invalid_drop_coverage_synced 1');
  t.match(await registry.metrics(), 'invalid_drop_coverage_events_total{result="failed"} 0');
  store.uncover('storage');
  t.notMatch(await registry.metrics(), 'invalid_drop_coverage_pods{');
});

/** /coverage of two namespaces with two pods that are not guarded, and the clock that it goes by. */
function coverageOf() {
  const store = createCoverageStore(
    () => {},
    () => 0,
  );
  for (const namespace of ['media', 'storage']) {
    store.cover(namespace, { optedInAt: undefined, forbidsNetAdmin: false, placement: 'pod' });
    const record = {
      namespace,
      name: `${namespace}-0`,
      facts: FACTS,
      created: 0,
      startedAt: 0,
      ...UNASKED,
    };
    store.put({ record, owner: OWNER, gone: false });
  }
  const state = { on: true, time: 0, asked: 0, refusals: 0 };
  const { pods } = store;
  store.pods = () => {
    state.asked += 1;
    return pods();
  };
  const refused = () => {
    state.refusals += 1;
    return [];
  };
  const page = coveragePage(
    () => (state.on ? { store, synced: true, refused } : undefined),
    () => state.time,
  );
  const ask = (query = '', request: Partial<PageRequest> = {}) =>
    page({ query: new URLSearchParams(query), accept: '', local: true, ...request });
  return { state, ask, json: (...asked: Parameters<typeof ask>) => JSON.parse(ask(...asked).body) };
}

t.test('/coverage is JSON, or a table for who asks for text, and 404 where it is off', async (t) => {
  const { state, ask, json } = coverageOf();
  t.match(json(), { total: 2, namespaces: [{ namespace: 'media' }, { namespace: 'storage' }] });
  t.match(json('namespace=storage'), { total: 1, notGuarded: [{ pod: 'storage-0' }], notGuardedMore: 0 });
  t.match(json('namespace=other'), { total: 0, namespaces: [] });
  const text = ask('', { accept: 'text/plain' });
  t.equal(text.type, undefined);
  t.match(text.body, /^0 of 2 pods in 2 namespaces are guarded/);
  state.on = false;
  t.equal(ask().status, 404);
});

t.test(
  'names are for who asks from the pod itself; everybody else gets the numbers, and where the names are',
  async (t) => {
    const { ask, json } = coverageOf();
    for (const query of ['', 'namespace=storage']) {
      for (const accept of ['', 'text/plain']) {
        t.match(ask(query, { accept }).body, 'storage-0');
        const answer = ask(query, { accept, local: false }).body;
        t.notMatch(answer, 'storage-0');
        t.match(answer, 'kubectl exec');
      }
    }
    const whole = json('', { local: false });
    t.match(whole, {
      total: 2,
      guarded: 0,
      reasons: { 'created-before-opt-in': 2 },
      notGuarded: [],
      notGuardedMore: 2,
    });
    t.match(whole.namespaces, [{ namespace: 'media', total: 1 }, { namespace: 'storage' }]);
    t.equal(json().names, undefined);
  },
);

t.test('pods and refusals are gone through once in two seconds at most, whoever asks', async (t) => {
  const { state, ask } = coverageOf();
  for (let index = 0; index < 20; index++) {
    for (const local of [true, false]) for (const query of ['', `namespace=n-${index}`]) ask(query, { local });
  }
  t.match(state, { asked: 1, refusals: 1 });
  state.time = 2000;
  ask();
  t.match(state, { asked: 2, refusals: 2 });
});

t.test('each meaning is a sentence without an end, short enough for an Event', async (t) => {
  for (const [reason, { text }] of Object.entries(COVERAGE_REASONS)) {
    t.ok(text.length < 140 && !text.endsWith('.'), reason);
  }
});
