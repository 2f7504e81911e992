import t from 'tap';
import type { PeerSighting } from '../../../webhook/collection/checker-figures.ts';
import {
  BUCKET_MS,
  BUCKETS,
  createTrafficHistory,
  OTHER_NAMESPACES,
} from '../../../webhook/collection/traffic-history.ts';

const BEGAN = Date.parse('2030-01-15T12:00:00Z');
const pod = (name: string, namespace = 'storage', startedAt = BEGAN - 1) => ({
  identity: {},
  namespace,
  pod: name,
  startedAt,
});
const figures = (drops: number, rescues = 0, drift = 0, peers: PeerSighting[] = []) => ({
  counters: { drops, rescues, drift },
  peers,
});
const sum = (values: number[] = []) => values.reduce((total, value) => total + value, 0);

t.test('what grows between two answers counts, and not what was there before', async (t) => {
  const history = createTrafficHistory(BEGAN);
  const old = pod('old');
  history.add(old, figures(1000, 10, 1), BEGAN);
  t.strictSame(history.namespaces(BEGAN), []);
  history.add(old, figures(1007, 12, 2), BEGAN + 1);
  const [{ namespace, values } = { namespace: '', values: undefined }] = history.namespaces(BEGAN + 1);
  t.equal(namespace, 'storage');
  t.strictSame([values?.drops.at(-1), values?.rescues.at(-1), values?.drift.at(-1)], [7, 2, 1]);
});

t.test('a checker that has begun since counts from nothing, and so does one that was started again', async (t) => {
  const history = createTrafficHistory(BEGAN);
  const young = pod('young', 'storage', BEGAN);
  history.add(young, figures(5), BEGAN + 1);
  history.add(young, figures(2), BEGAN + 2);
  t.equal(sum(history.namespaces(BEGAN + 2)[0]?.values.drops), 7);
  history.add(pod('young', 'storage', BEGAN), figures(3), BEGAN + 3);
  t.equal(sum(history.namespaces(BEGAN + 3)[0]?.values.drops), 10, 'a new pod of the same name');
});

t.test('a counter that went back does not make the others begin anew: the rule outlives who counts it', async (t) => {
  const history = createTrafficHistory(BEGAN);
  const one = pod('a');
  history.add(one, figures(1000, 5, 2), BEGAN);
  history.add(one, figures(1003, 1, 0), BEGAN + 1);
  const [{ values } = { values: undefined }] = history.namespaces(BEGAN + 1);
  t.strictSame([values?.drops.at(-1), values?.rescues.at(-1), values?.drift.at(-1)], [3, 1, 0]);
});

t.test('what is told to have begun since counts from nothing, in a pod that is older', async (t) => {
  const history = createTrafficHistory(BEGAN);
  history.add(pod('old'), { ...figures(5), since: BEGAN - 1 }, BEGAN + 1);
  t.strictSame(history.namespaces(BEGAN + 1), []);
  history.add(pod('opted-in'), { ...figures(7), since: BEGAN }, BEGAN + 1);
  t.equal(sum(history.namespaces(BEGAN + 1)[0]?.values.drops), 7);
});

t.test('a value stays for a day, in its ten minutes', async (t) => {
  const history = createTrafficHistory(BEGAN);
  const one = pod('a', 'storage', BEGAN);
  history.add(one, figures(4), BEGAN);
  history.add(one, figures(9), BEGAN + 3 * BUCKET_MS);
  const at = (now: number) => history.namespaces(now)[0]?.values.drops;
  t.strictSame(at(BEGAN + 3 * BUCKET_MS)?.slice(-4), [4, 0, 0, 5]);
  t.strictSame(at(BEGAN + (BUCKETS - 1) * BUCKET_MS)?.slice(0, 4), [4, 0, 0, 5]);
  t.equal(sum(at(BEGAN + BUCKETS * BUCKET_MS)), 5);
  t.equal(at(BEGAN + 10 * BUCKETS * BUCKET_MS), undefined);
});

t.test('a clock that is set back loses nothing, and breaks nothing', async (t) => {
  const history = createTrafficHistory(BEGAN);
  const one = pod('a', 'storage', BEGAN);
  history.add(one, figures(4), BEGAN);
  history.add(one, figures(6), BEGAN - 5 * BUCKET_MS);
  t.equal(sum(history.namespaces(BEGAN)[0]?.values.drops), 6);
});

t.test('a hundred namespaces have a series of their own, the rest share one', async (t) => {
  const history = createTrafficHistory(BEGAN);
  for (let i = 0; i < 500; i++) history.add(pod('a', `n-${i}`, BEGAN), figures(1), BEGAN);
  const all = history.namespaces(BEGAN);
  t.equal(all.length, 101);
  t.equal(sum(all.find(({ namespace }) => namespace === OTHER_NAMESPACES)?.values.drops), 400);
});

const peer = (address: string, segments: number, lastSeen = BEGAN): PeerSighting => ({
  peer: address,
  port: 9000,
  segments,
  rescued: 1,
  lastSeen,
});

t.test('peers are added up over pods, those with the most segments first', async (t) => {
  const history = createTrafficHistory(BEGAN);
  history.add(pod('a'), figures(0, 0, 0, [peer('10.0.0.1', 5), peer('10.0.0.2', 3)]), BEGAN);
  history.add(pod('b'), figures(0, 0, 0, [peer('10.0.0.2', 4), peer('10.0.0.2', 1)]), BEGAN);
  history.add(pod('b'), figures(0, 0, 0, [peer('10.0.0.2', 6, BEGAN + 9_000_000)]), BEGAN + 2);
  t.strictSame(history.peers(BEGAN + 2), [
    {
      peer: '10.0.0.2',
      examples: ['storage/a', 'storage/b'],
      pods: 2,
      segments: 9,
      rescued: 2,
      lastSeen: BEGAN + 2,
    },
    { peer: '10.0.0.1', examples: ['storage/a'], pods: 1, segments: 5, rescued: 1, lastSeen: BEGAN },
  ]);
  t.strictSame(history.peers(BEGAN + 2 + BUCKETS * BUCKET_MS + 1), [], 'for a day');
});

t.test('a pod that makes up peers takes the place of no other', async (t) => {
  const history = createTrafficHistory(BEGAN);
  history.add(pod('honest'), figures(0, 0, 0, [peer('10.0.0.1', 1)]), BEGAN);
  for (let i = 0; i < 10_000; i++) {
    history.add(pod('liar'), figures(0, 0, 0, [peer(`10.9.${i >> 8}.${i & 255}`, 1e12)]), BEGAN);
  }
  t.strictSame(
    history.peers(BEGAN).map((one) => one.peer),
    ['10.9.39.15', '10.0.0.1'],
  );
  for (let i = 0; i < 199; i++) history.add(pod(`q-${i}`), figures(0, 0, 0, [peer(`10.7.0.${i}`, 1)]), BEGAN);
  t.notOk(
    history.peers(BEGAN).some((one) => one.peer === '10.0.0.1'),
    'the one that told longest ago goes first',
  );
  history.add(pod('liar'), figures(0, 0, 0, [peer('10.9.0.1', 1e12)]), BEGAN);
  history.add(pod('one-more'), figures(0, 0, 0, [peer('10.6.0.1', 1)]), BEGAN);
  t.equal(history.peers(BEGAN)[0]?.peer, '10.9.0.1', 'and one that has told again does not');
  for (let i = 0; i < 1000; i++)
    history.add(pod(`p-${i}`), figures(0, 0, 0, [peer(`10.8.${i >> 8}.${i & 255}`, 1)]), BEGAN);
  t.equal(history.peers(BEGAN).length, 200);
});
