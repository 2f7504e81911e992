// Who is asked for what, and for which pods an answer counts.
import { Registry } from 'prom-client';
import t from 'tap';
import type { PodAnswer, PodPage } from '../../../webhook/collection/pod-request.ts';
import { startCollection } from '../../../webhook/collection/start-collection.ts';
import { makeClock } from './made-clock.ts';
import { podFigures, reportText } from './made-reports.ts';

const AGENTS: Record<string, string> = { 'node-1': '10.1.0.5', 'node-2': '10.1.1.5' };
const pod = (uid: string, node: string, namespace = 'shop') => ({
  ...{ identity: {}, namespace, pod: `pod-${uid}`, node, uid, startedAt: 1 },
});
const checker = (ip: string) => ({
  identity: {},
  namespace: 'storage',
  pod: 'store-0',
  ip,
  port: 16_000,
  startedAt: 1,
});
const answered = (data: unknown): PodAnswer => ({ result: 'answered', text: JSON.stringify(data) });
const sum = (values: number[] = []) => values.reduce((total, value) => total + value, 0);

interface Made {
  pods?: ReturnType<typeof pod>[];
  checkers?: ReturnType<typeof checker>[];
  answer(page: PodPage): PodAnswer;
  synced?: boolean;
  addresses?: Record<string, string>;
}

/** The first round of all, and what came of it. */
async function collected({ pods = [], checkers = [], answer, synced = true, addresses = AGENTS }: Made) {
  const clock = makeClock();
  const asked: PodPage[] = [];
  const registry = new Registry();
  const collection = startCollection({
    store: { checkers: () => checkers.values() as never, agentPods: () => pods.values() as never },
    agents: { synced: () => synced, on: (node) => addresses[node] },
    registry,
    clock,
    ask: async (page) => {
      asked.push(page);
      return answer(page);
    },
  });
  await clock.goTo(6000);
  collection.stop();
  const drops = Object.fromEntries(
    collection.history.namespaces(6000).map(({ namespace, values }) => [namespace, sum(values.drops)]),
  );
  return { collection, asked, drops, metrics: await registry.metrics() };
}

t.test('each agent is asked for the pods of its node, and each checker for its own', async (t) => {
  const { asked, drops, collection, metrics } = await collected({
    pods: [pod('u-1', 'node-1'), pod('u-2', 'node-2'), pod('u-3', 'node-1', 'media')],
    checkers: [checker('10.1.0.9')],
    answer: ({ path }) =>
      path === '/selfcheck'
        ? { result: 'answered', text: reportText() }
        : answered({ pods: ['u-1', 'u-2', 'u-3'].map((uid) => podFigures(uid)) }),
  });
  t.strictSame(asked.map(({ host, port, path }) => `${host}:${port}${path}`).sort(), [
    '10.1.0.5:8080/figures?pods=u-1,u-3',
    '10.1.0.9:16000/selfcheck',
    '10.1.1.5:8080/figures?pods=u-2',
  ]);
  t.ok(asked.every(({ path, limit }) => limit === (path === '/selfcheck' ? 65_536 : 262_144)));
  t.strictSame(drops, { shop: 2 * 59, media: 59, storage: 59 }, 'each once, though each agent tells of all three');
  t.match(collection.agents?.last(), { asked: 2, answered: 2, silent: 0 });
  t.match(metrics, 'invalid_drop_collection_questions_total{asked="agent",result="answered"} 2');
  t.match(metrics, 'invalid_drop_collection_questions_total{asked="checker",result="answered"} 1');
  t.match(metrics, 'invalid_drop_collection_round_seconds{asked="agent"}');
});

t.test('what an agent counted before this process began is left out', async (t) => {
  const older = { ...pod('u-1', 'node-1'), startedAt: -1 };
  const of = (since: string | null) =>
    collected({ pods: [older], answer: () => answered({ pods: [podFigures('u-1', { since })] }) });
  t.strictSame((await of(null)).drops, {});
  t.strictSame((await of('1969-12-31T23:59:59Z')).drops, {});
  t.strictSame((await of('1970-01-01T00:00:01Z')).drops, { shop: 59 }, 'a pod that has been opted in since');
});

t.test('an agent that is not there, or at an address that no pod has, did not answer', async (t) => {
  const pods = [pod('u-1', 'node-1'), pod('u-2', 'node-9')];
  const addresses = { 'node-1': '169.254.169.254' };
  const { asked, collection } = await collected({ pods, addresses, answer: () => answered({ pods: [] }) });
  t.strictSame(asked, []);
  t.match(collection.agents?.last(), { asked: 2, answered: 0, silent: 2 });
  const early = await collected({ pods, synced: false, answer: () => answered({ pods: [] }) });
  t.match(early.collection.agents?.last(), { asked: 0 }, 'before the agents have been listed');
});

t.test('an agent with more pods than one question holds is asked again, until it fails', async (t) => {
  const pods = Array.from({ length: 251 }, (_, index) => pod(`u-${index}`, 'node-1'));
  const full = await collected({ pods, answer: () => answered({ pods: [podFigures('u-250')] }) });
  t.strictSame(
    full.asked.map(({ path }) => path.split(',').length),
    [250, 1],
  );
  t.match(full.collection.agents?.last(), { asked: 1, answered: 1 });
  t.strictSame(full.drops, { shop: 59 }, 'the last one counts for the question that named it only');
  const broken = await collected({ pods, answer: () => answered('no agent') });
  t.equal(broken.asked.length, 1);
  t.match(broken.collection.agents?.last(), { silent: 1 });
  t.match(broken.metrics, 'invalid_drop_collection_questions_total{asked="agent",result="invalid"} 1');
});

t.test('a checker that answers something else, or cannot be one, counts for nothing', async (t) => {
  const checkers = [checker('10.1.0.9'), checker('127.0.0.1')];
  const { asked, collection } = await collected({ checkers, answer: () => ({ result: 'answered', text: '<script>' }) });
  t.equal(asked.length, 1);
  t.match(collection.checkers.last(), { asked: 1, silent: 1 });
});
