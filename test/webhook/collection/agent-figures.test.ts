import t from 'tap';
import {
  AGENT_ANSWER_LIMIT,
  agentFigures,
  figuresPath,
  PODS_A_QUESTION,
} from '../../../webhook/collection/agent-figures.ts';
import { podFigures } from './made-reports.ts';

const UID = '0c5bd9f2-6b0e-4c38-9a53-0d5a3a8f6a01';
const ASKED = new Map([
  [UID, 'web'],
  ['u-2', 'store'],
]);
const answer = (...pods: unknown[]) => JSON.stringify({ pods });

t.test('figures are taken of the pods that were asked for', async (t) => {
  const found = agentFigures(answer(podFigures(UID), podFigures('u-2', { since: null, drift: 0 })), ASKED);
  t.strictSame([...(found?.keys() ?? [])], ['web', 'store']);
  t.match(found?.get('web'), {
    counters: { drops: 59, rescues: 14, drift: 2 },
    peers: [{ peer: '10.1.4.7', port: 9000 }],
    since: Date.parse('2030-01-15T11:00:00Z'),
  });
  t.equal(found?.get('store')?.since, undefined);
});

t.test('of other pods, and of what is no pod, nothing is taken', async (t) => {
  const others = [podFigures('u-3'), podFigures('__proto__'), { ...podFigures(UID), uid: undefined }];
  t.equal(agentFigures(answer(...others), ASKED)?.size, 0);
  for (const change of [{ drift: -1 }, { drift: '<script>' }, { prevented: {} }, { strays: { rescued: 1e300 } }])
    t.equal(agentFigures(answer(podFigures(UID, change)), ASKED)?.size, 0, JSON.stringify(change));
  t.equal(agentFigures(answer(podFigures(UID, { since: '<script>' })), ASKED)?.get('web')?.since, undefined);
  const peers = [{ peer: 'fe80::1%<script>', port: 1, segments: 1, rescued: 0, lastSeen: '2030-01-15T11:24:29Z' }];
  t.strictSame(agentFigures(answer(podFigures(UID, { strays: { rescued: 0, peers } })), ASKED)?.get('web')?.peers, []);
  t.equal(
    agentFigures(answer(...Array(PODS_A_QUESTION).fill({}), podFigures(UID)), ASKED)?.size,
    0,
    'more than asked for',
  );
});

t.test('what is no answer of an agent is none', async (t) => {
  for (const text of ['', 'null', '[]', '{}', '{"pods":{}}', '{"pods":7}', answer().slice(1), '['.repeat(30_000)])
    t.equal(agentFigures(text, ASKED), undefined, text.slice(0, 40));
  t.equal(agentFigures(answer(), ASKED)?.size, 0, 'it knows none of them');
});

t.test('a question fits into what agents read, and its answer into what is read of it', async (t) => {
  const uids = Array.from(
    { length: PODS_A_QUESTION },
    (_, index) => `${UID.slice(0, -3)}${String(index).padStart(3, '0')}`,
  );
  t.ok(figuresPath(uids).length < 15_000);
  t.equal(figuresPath(['a', 'b&c']), '/figures?pods=a,b%26c');
  const peer = {
    peer: '2001:0db8:1234:5678:9abc:def0:1234:5678',
    port: 65_535,
    segments: 9_999_999,
    rescued: 9_999_999,
  };
  const peers = Array(5).fill({ ...peer, lastSeen: '2030-01-15T11:24:29.000Z' });
  const largest = answer(...uids.map((uid) => podFigures(uid, { strays: { rescued: 1e9, peers } })));
  t.ok(Buffer.byteLength(largest) < AGENT_ANSWER_LIMIT, `${Buffer.byteLength(largest)} bytes`);
});
