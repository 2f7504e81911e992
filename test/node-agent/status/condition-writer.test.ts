// When conditions are written, with a clock and an API server of the test's own.
import t, { type Test } from 'tap';
import { ApiError } from '../../../lib/cluster/api-error.ts';
import { backoffMs } from '../../../lib/cluster/reflector.ts';
import type { JsonObject } from '../../../lib/json.ts';
import type { GuardedCondition } from '../../../lib/pod/guarded-condition.ts';
import { ConditionWriter } from '../../../node-agent/status/condition-writer.ts';
import type { WantedCondition } from '../../../node-agent/status/wanted-condition.ts';

const GUARDED: WantedCondition = { status: 'True', reason: 'Guarded', message: 'dropped' };
const NOT_GUARDED: WantedCondition = { status: 'False', reason: 'NotGuarded', message: 'no rule' };
const START = Date.parse('2026-11-28T12:00:00Z');

const podOf = (uid: string, condition?: GuardedCondition) => ({ uid, namespace: 'shop', name: `p-${uid}`, condition });

/** Time stands still until `pass`; timers of the writer run as their time comes. */
function writing(t: Test) {
  let now = 0;
  const timers = new Set<{ at: number; run: () => void }>();
  t.intercept(globalThis, 'setTimeout', {
    value: (run: () => void, ms: number) => {
      const timer = { at: now + ms, run };
      timers.add(timer);
      return timer;
    },
  });
  t.intercept(globalThis, 'clearTimeout', { value: (timer: { at: number; run: () => void }) => timers.delete(timer) });
  const sent: { path: string; body: JsonObject }[] = [];
  const logged: object[] = [];
  const server = { answer: (_path: string): Promise<JsonObject> => Promise.resolve({}) };
  const writer = new ConditionWriter({
    client: {
      mergePatch(path, body) {
        sent.push({ path, body });
        return server.answer(path);
      },
    },
    log: { warn: (details) => void logged.push(details) },
    now: () => now,
    date: () => START + now,
    retryDelay: (failures) => backoffMs(failures, 1),
  });
  const settle = async () => {
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
  };
  /** Lets milliseconds pass. */
  const pass = async (ms: number) => {
    const end = now + ms;
    await settle();
    for (;;) {
      const next = [...timers].filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      timers.delete(next);
      now = Math.max(now, next.at);
      next.run();
      await settle();
    }
    now = end;
  };
  const conditions = () => sent.map(({ body }) => (body['status'] as { conditions: JsonObject[] }).conditions[0]);
  return { writer, sent, conditions, logged, server, pass };
}

t.test('a condition is one strategic merge patch, for exactly this pod', async (t) => {
  const { writer, sent, pass } = writing(t);
  writer.want(podOf('u1'), GUARDED);
  await pass(0);
  t.strictSame(sent, [
    {
      path: '/api/v1/namespaces/shop/pods/p-u1/status',
      body: {
        metadata: { uid: 'u1' },
        status: {
          conditions: [{ type: 'invalid-drop.io/guarded', ...GUARDED, lastTransitionTime: '2026-11-28T12:00:00Z' }],
        },
      },
    },
  ]);
  t.same(writer.results, { written: 1, gone: 0, refused: 0, failed: 0 });
});

t.test('what the pod says already is not written again, before and after a restart', async (t) => {
  const { writer, sent, pass } = writing(t);
  writer.want(podOf('u1', { ...GUARDED, since: 7 }), GUARDED);
  writer.want(podOf('u2'), GUARDED);
  await pass(0);
  // The watch has not told of it yet.
  writer.want(podOf('u2'), GUARDED);
  await pass(1000);
  t.equal(sent.length, 1);
});

t.test('what somebody else has written over ours is written again', async (t) => {
  const { writer, conditions, pass } = writing(t);
  writer.want(podOf('u1'), GUARDED);
  await pass(0);
  writer.want(podOf('u1', { ...GUARDED, since: 7 }), GUARDED);
  writer.want(podOf('u1', { ...NOT_GUARDED, since: 8 }), GUARDED);
  await pass(0);
  t.match(conditions(), [GUARDED, GUARDED]);
});

t.test('lastTransitionTime changes only with the status', async (t) => {
  const { writer, conditions, pass } = writing(t);
  writer.want(podOf('u1', { status: 'True', reason: 'NotOptedIn', message: '', since: 1_700_000_000 }), GUARDED);
  await pass(5000);
  writer.want(podOf('u1'), NOT_GUARDED);
  await pass(0);
  t.match(conditions(), [
    { status: 'True', lastTransitionTime: '2023-11-14T22:13:20Z' },
    { status: 'False', lastTransitionTime: '2026-11-28T12:00:05Z' },
  ]);
});

t.test('of several wishes the latest is written', async (t) => {
  const { writer, conditions, server, pass } = writing(t);
  const first = Promise.withResolvers<JsonObject>();
  server.answer = () => first.promise;
  writer.want(podOf('u1'), GUARDED);
  for (const message of ['a', 'b', 'c']) writer.want(podOf('u1'), { ...NOT_GUARDED, message });
  server.answer = async () => ({});
  first.resolve({});
  await pass(0);
  t.match(conditions(), [GUARDED, { ...NOT_GUARDED, message: 'c' }]);
});

t.test('a verdict that changes all the time is written now and then', async (t) => {
  const { writer, sent, pass } = writing(t);
  for (let change = 0; change < 600; change += 1) {
    writer.want(podOf('u1'), change % 2 === 0 ? GUARDED : NOT_GUARDED);
    await pass(100);
  }
  t.ok(sent.length <= 11 && sent.length > 5, `${sent.length} writes in a minute`);
});

t.test('a message that changes all the time is written once a minute', async (t) => {
  const { writer, sent, pass } = writing(t);
  for (let second = 0; second < 300; second += 1) {
    writer.want(podOf('u1'), { ...NOT_GUARDED, message: `${second} packets` });
    await pass(1000);
  }
  t.equal(sent.length, 5);
});

t.test('few writes are under way at a time, and all pods get theirs', async (t) => {
  const { writer, sent, server, pass } = writing(t);
  let [now, most] = [0, 0];
  server.answer = async () => {
    now += 1;
    most = Math.max(most, now);
    await Promise.resolve();
    now -= 1;
    return {};
  };
  for (let pod = 0; pod < 250; pod += 1) writer.want(podOf(`u${pod}`), GUARDED);
  for (let turn = 0; turn < 100; turn += 1) await pass(0);
  t.equal(most, 4);
  t.equal(new Set(sent.map(({ path }) => path)).size, 250);
  t.equal(writer.waiting(), 0);
});

t.test('an API server that is away is asked ever more seldom, then everything is written', async (t) => {
  const { writer, sent, server, logged, pass } = writing(t);
  server.answer = () => Promise.reject(new Error('fetch failed'));
  for (let pod = 0; pod < 50; pod += 1) writer.want(podOf(`u${pod}`), GUARDED);
  await pass(300_000);
  t.ok(sent.length < 100, `${sent.length} tries in 5 minutes`);
  t.ok(logged.length < 30, `${logged.length} lines`);
  server.answer = async () => ({});
  await pass(60_000);
  t.equal(writer.results.written, 50);
  t.equal(writer.waiting(), 0);
});

for (const status of [404, 409, 410, 422]) {
  t.test(`${status}: the pod is gone, or another one has its name`, async (t) => {
    const { writer, sent, server, pass } = writing(t);
    server.answer = () => Promise.reject(new ApiError(status, '', ''));
    writer.want(podOf('u1'), GUARDED);
    await pass(600_000);
    t.equal(sent.length, 1);
    t.equal(writer.results.gone, 1);
    t.equal(writer.waiting(), 0);
  });
}

t.test('403: told once, counted, and tried again seldom', async (t) => {
  const { writer, sent, server, logged, pass } = writing(t);
  server.answer = () => Promise.reject(new ApiError(403, 'Forbidden', 'denied by policy'));
  for (const uid of ['u1', 'u2']) writer.want(podOf(uid), GUARDED);
  await pass(299_000);
  t.equal(sent.length, 2);
  t.equal(writer.results.refused, 2);
  t.equal(logged.length, 1);
  t.match(logged, [{ pod: 'p-u1', reason: 'denied by policy' }]);
  await pass(2000);
  t.equal(sent.length, 4);
});

t.test('one pod that always fails delays the others little', async (t) => {
  const { writer, server, pass } = writing(t);
  server.answer = (path) => (path.includes('p-bad') ? Promise.reject(new ApiError(400, '', '')) : Promise.resolve({}));
  writer.want(podOf('bad'), GUARDED);
  await pass(100_000);
  writer.want(podOf('good'), GUARDED);
  await pass(0);
  t.equal(writer.results.written, 1);
});

t.test('after the end, and for pods that are gone, nothing is written', async (t) => {
  const { writer, sent, server, pass } = writing(t);
  server.answer = () => Promise.reject(new Error('away'));
  writer.want(podOf('u1'), GUARDED);
  await pass(0);
  writer.forget('u1');
  await pass(100_000);
  writer.stop();
  writer.want(podOf('u2'), GUARDED);
  await pass(100_000);
  t.equal(sent.length, 1);
});
