// What the agent does as pods, labels and network namespaces come and go, with guards, a finder and a clock of the test's.
import t from 'tap';
import { GUARDED_CONDITION, OPT_IN_LABEL } from '../../../lib/contract.ts';
import type { MadePod } from '../node-api.ts';
import { madeGuards, podOf } from './made-guards.ts';

const TRUE = { status: 'True', reason: 'Guarded', message: '', since: 1 };
const guardedBefore = {
  status: { phase: 'Running', conditions: [{ type: GUARDED_CONDITION, ...TRUE, lastTransitionTime: '' }] },
};

/** All listed, the namespace labelled, a pod guarded. */
async function guarding(pod: Partial<MadePod> = {}) {
  const all = madeGuards();
  all.sandbox('u1');
  all.engine.namespaces.replace([{ name: 'shop', labels: { [OPT_IN_LABEL]: 'node' } }]);
  all.engine.pods.replace([podOf({ uid: 'u1', ...pod })]);
  await all.settle();
  const [guard] = all.guards;
  if (guard === undefined) throw new Error('no guard');
  guard.become('guarded');
  await all.settle();
  return { ...all, guard };
}

t.test('nothing is done before pods and namespaces are listed', async (t) => {
  const { engine, guards, sandbox, settle, wanted } = madeGuards();
  sandbox('u1');
  engine.pods.replace([podOf({ uid: 'u1', gate: true, ...guardedBefore })]);
  engine.sandboxChanged('u1');
  engine.tick();
  await settle();
  t.same([guards, wanted], [[], []], 'a pod of a namespace that is not known yet is not withdrawn from');
  t.equal(engine.settled(), false);
  engine.namespaces.replace([{ name: 'shop', labels: { [OPT_IN_LABEL]: 'node' } }]);
  await settle();
  t.same(guards[0]?.calls, ['start']);
});

t.test('a new pod is guarded as soon as its namespace is there', async (t) => {
  const { engine, guards, sandbox, settle, label, wanted, starts, states } = madeGuards();
  engine.namespaces.replace([]);
  engine.pods.replace([]);
  label('node');
  engine.pods.put(podOf({ uid: 'u1', gate: true, status: { phase: 'Pending' } }));
  await settle();
  t.same(states(), ['u1: no-namespace']);
  sandbox('u1');
  engine.sandboxChanged('u1');
  await settle();
  t.same(guards[0]?.calls, ['start']);
  t.same(wanted, [], 'a moment is not worth a write');
  guards[0]?.become('guarded');
  await settle();
  t.same(wanted, ['u1: True Guarded']);
  t.equal(starts.length, 1);
});

t.test('what the guard says becomes the condition', async (t) => {
  const { guard, wanted } = await guarding();
  guard.become('not-guarded', 'no rule');
  guard.become('guarded');
  guard.become('cannot-tell', 'nft is missing');
  t.same(wanted, [...['u1: True Guarded', 'u1: False NotGuarded', 'u1: True Guarded', 'u1: Unknown CannotTell']]);
});

t.test('a pod that no namespace is found for gets to know after a while', async (t) => {
  const { engine, settle, pass, wanted, sandbox, guards } = madeGuards();
  engine.namespaces.replace([{ name: 'shop', labels: { [OPT_IN_LABEL]: 'node' } }]);
  engine.pods.replace([podOf({ uid: 'u1', gate: true })]);
  await settle();
  await pass(9000);
  t.same(wanted, []);
  await pass(2000);
  t.same(wanted, ['u1: False NoNamespace']);
  sandbox('u1');
  await pass(4000);
  t.equal(guards.length, 1, 'it is searched for again though nothing tells of it');
});

t.test('a pod without a namespace is searched for ever more seldom', async (t) => {
  const { engine, settle, pass } = madeGuards();
  let searches = 0;
  const finder = { find: async () => ({ missing: `no. ${++searches}` }) };
  Object.assign(Reflect.get(engine, 'options') as object, { finder });
  engine.namespaces.replace([{ name: 'shop', labels: { [OPT_IN_LABEL]: 'node' } }]);
  engine.pods.replace([podOf({ uid: 'u1' })]);
  await settle();
  for (let tick = 0; tick < 600; tick += 1) await pass(2000);
  t.ok(searches > 40 && searches < 80, `${searches} searches in 20 minutes`);
});

t.test('label off: withdrawn, then said; label on: guarded again', async (t) => {
  const { engine, guard, guards, label, settle, wanted, states } = await guarding({ gate: true });
  label(undefined);
  await settle();
  t.same(guard.calls, ['start', 'withdraw']);
  t.same(wanted, ['u1: True Guarded', 'u1: True NotOptedIn']);
  t.same(states(), ['u1: left-alone']);
  // What the watch brings after that changes nothing.
  engine.pods.put(podOf({ uid: 'u1', gate: true, ...guardedBefore }));
  await settle();
  t.equal(guards.length, 1);
  label('node');
  await settle();
  t.equal(guards.length, 2);
  guards[1]?.become('guarded');
  t.equal(wanted.at(-1), 'u1: True Guarded');
});

t.test('label off while the agent was away: withdrawn at its start', async (t) => {
  const { engine, guards, sandbox, settle, wanted } = madeGuards();
  sandbox('u1');
  engine.namespaces.replace([]);
  engine.pods.replace([podOf({ uid: 'u1', ...guardedBefore })]);
  await settle();
  t.same(
    guards.map(({ calls }) => calls),
    [['withdraw']],
  );
  t.same(wanted, ['u1: True NotOptedIn']);
});

t.test('a withdrawal that fails is tried again, and not said before', async (t) => {
  const { guard, label, settle, pass, wanted, logged } = await guarding();
  let failures = 2;
  guard.withdraw = async () => {
    guard.calls.push('withdraw');
    if (failures-- > 0) throw new Error('nft failed');
  };
  label(undefined);
  await settle();
  t.same(wanted, ['u1: True Guarded']);
  for (let tick = 0; tick < 5; tick += 1) await pass(5000);
  t.equal(guard.calls.filter((call) => call === 'withdraw').length, 3);
  t.same(wanted, ['u1: True Guarded', 'u1: True NotOptedIn']);
  t.same(logged, ['pod-failed', 'pod-failed', 'withdrawn']);
});

t.test(
  'label on again after a withdrawal that failed: the guard that was withdrawn from is used no more',
  async (t) => {
    const { guard, guards, label, settle } = await guarding();
    guard.withdraw = () => Promise.reject(new Error('nft failed'));
    label(undefined);
    await settle();
    label('node');
    await settle();
    t.same(guards[1]?.calls, ['start']);
    t.same(guard.calls, ['start', 'stop']);
  },
);

t.test('label off: a pod that cannot be withdrawn from is let go of after a while, and tried on', async (t) => {
  const { engine, guards, sandbox, settle, pass, label, wanted } = madeGuards();
  engine.namespaces.replace([{ name: 'shop', labels: { [OPT_IN_LABEL]: 'node' } }]);
  engine.pods.replace([podOf({ uid: 'u1', gate: true })]);
  await settle();
  await pass(10_000);
  t.same(wanted, ['u1: False NoNamespace']);
  label(undefined);
  await settle();
  await pass(9000);
  t.same(wanted, ['u1: False NoNamespace']);
  await pass(1000);
  t.same(wanted, ['u1: False NoNamespace', 'u1: True NotOptedIn'], 'nothing is held back');
  const condition = { type: GUARDED_CONDITION, status: 'True', reason: 'NotOptedIn' };
  engine.pods.put(podOf({ uid: 'u1', gate: true, status: { conditions: [condition] } }));
  await settle();
  sandbox('u1');
  await pass(30_000);
  t.same(guards[0]?.calls, ['withdraw']);
});

t.test('label off while the namespace is searched for: nothing is put in', async (t) => {
  const { engine, guards, sandbox, settle, label } = madeGuards();
  sandbox('u1');
  engine.namespaces.replace([{ name: 'shop', labels: { [OPT_IN_LABEL]: 'node' } }]);
  engine.pods.replace([podOf({ uid: 'u1' })]);
  label(undefined);
  await settle();
  t.same(guards, []);
});

t.test('label off while the guard starts: withdrawn after that', async (t) => {
  const { engine, guards, sandbox, settle, label } = madeGuards();
  sandbox('u1');
  engine.namespaces.replace([{ name: 'shop', labels: { [OPT_IN_LABEL]: 'node' } }]);
  engine.pods.replace([podOf({ uid: 'u1' })]);
  await settle();
  label(undefined);
  await settle();
  t.same(guards[0]?.calls, ['start']);
  guards[0]?.become('guarded');
  await settle();
  t.same(guards[0]?.calls, ['start', 'withdraw']);
});

t.test('switched to pod: a pod that runs stays guarded, and its own containers end that', async (t) => {
  const { engine, guard, label, settle } = await guarding();
  label('pod');
  await settle();
  t.same(guard.calls, ['start']);
  const name = 'invalid-drop-guard-1';
  const state = { terminated: { exitCode: 0, finishedAt: '2026-01-01T00:00:00Z' } };
  const status = { ...guardedBefore.status, ephemeralContainerStatuses: [{ name, state }] };
  engine.pods.put(podOf({ uid: 'u1', spec: { ephemeralContainers: [{ name, image: 'x' }] }, status }));
  await settle();
  t.same(guard.calls, ['start', 'stop'], 'the rule stays: it is its containers’ too');
});

t.test('a new sandbox gets a new guard, and the old one ends', async (t) => {
  const { engine, guard, guards, sandbox, sandboxes, settle, wanted } = await guarding();
  sandboxes.delete('u1');
  engine.sandboxChanged('u1');
  await settle();
  t.same(guard.calls, ['start', 'stop']);
  sandbox('u1', '/netns/other', 2);
  engine.sandboxChanged('u1');
  await settle();
  t.same(guards[1]?.path, '/netns/other');
  t.same(wanted, ['u1: True Guarded'], 'no readiness is lost by that alone');
});

t.test('a guard whose namespace has gone is ended, and the pod is searched for', async (t) => {
  const { guard, guards, sandbox, settle } = await guarding();
  sandbox('u1', '/netns/other', 2);
  guard.lose();
  await settle();
  t.same(guard.calls, ['start', 'stop']);
  t.same(guards[1]?.calls, ['start']);
});

t.test('the same file with another namespace behind it is a new one', async (t) => {
  const { engine, guard, guards, sandbox, settle } = await guarding();
  sandbox('u1', '/netns/u1', 2);
  engine.sandboxChanged(null);
  await settle();
  t.equal(guards.length, 2);
  t.same(guard.calls, ['start', 'stop']);
});

t.test('other options take a new guard; events that change nothing take none', async (t) => {
  const { engine, guards, settle } = await guarding();
  engine.pods.put(podOf({ uid: 'u1', addresses: ['10.0.0.9'] }));
  await settle();
  t.equal(guards.length, 1);
  engine.pods.put(podOf({ uid: 'u1', annotations: { 'invalid-drop.io/protocol': 'all' } }));
  await settle();
  t.equal(guards.length, 2);
});

t.test('a new guard waits until the old one does nothing any more', async (t) => {
  const { engine, guard, guards, settle } = await guarding();
  const { promise, resolve } = Promise.withResolvers<void>();
  guard.stop = () => promise;
  engine.pods.put(podOf({ uid: 'u1', annotations: { 'invalid-drop.io/protocol': 'all' } }));
  await settle();
  t.equal(guards.length, 1);
  resolve();
  await settle();
  t.equal(guards.length, 2);
});

t.test('ended and deleted pods: the child ends, rules stay', async (t) => {
  for (const end of ['ended', 'deleted', 'not listed any more'] as const) {
    const { engine, guard, settle, states } = await guarding();
    const status = { phase: 'Succeeded' };
    if (end === 'ended') engine.pods.put(podOf({ uid: 'u1', status }));
    else if (end === 'deleted') engine.pods.remove(podOf({ uid: 'u1' }));
    else engine.pods.replace([]);
    await settle();
    t.same(guard.calls, ['start', 'stop'], end);
    t.same(states(), end === 'ended' ? ['u1: left-alone'] : [], end);
  }
});

t.test('a pod of the same name made anew is another pod', async (t) => {
  const { engine, guards, sandbox, settle } = await guarding();
  sandbox('u2');
  engine.pods.put(podOf({ uid: 'u2', name: 'p-u1' }));
  engine.pods.remove(podOf({ uid: 'u1' }));
  await settle();
  t.same(
    guards.map(({ path, calls }) => [path, calls]),
    [
      ['/netns/u1', ['start', 'stop']],
      ['/netns/u2', ['start']],
    ],
  );
});

t.test('after a restart each pod stays Ready until a check says otherwise', async (t) => {
  const { engine, guards, sandbox, settle, pass, wanted } = madeGuards();
  for (const uid of ['u1', 'u2', 'u3']) sandbox(uid);
  engine.namespaces.replace([{ name: 'shop', labels: { [OPT_IN_LABEL]: 'node' } }]);
  engine.pods.replace(['u1', 'u2', 'u3', 'u4'].map((uid) => podOf({ uid, gate: true, ...guardedBefore })));
  await settle();
  await pass(60_000);
  t.equal(engine.settled(), false);
  t.same(wanted, []);
  guards[0]?.become('guarded');
  guards[1]?.become('not-guarded', 'no rule');
  guards[2]?.become('cannot-tell', 'nft is missing');
  await settle();
  t.equal(engine.settled(), true);
  t.same(wanted, ['u1: True Guarded', 'u2: False NotGuarded', 'u3: True CannotTell']);
});

t.test('few guards start at the same time, and a pod that goes while it waits is not started', async (t) => {
  const { engine, guards, sandbox, settle } = madeGuards();
  const uids = Array.from({ length: 10 }, (_, index) => `u${index}`);
  for (const uid of uids) sandbox(uid);
  engine.namespaces.replace([{ name: 'shop', labels: { [OPT_IN_LABEL]: 'node' } }]);
  engine.pods.replace(uids.map((uid) => podOf({ uid })));
  await settle();
  const started = () => guards.filter(({ calls }) => calls.includes('start')).length;
  t.equal(started(), 4);
  engine.pods.remove(podOf({ uid: 'u4' }));
  for (const guard of guards) guard.become('guarded');
  await settle();
  for (const guard of guards) guard.become('guarded');
  await settle();
  t.equal(started(), 9);
});

t.test('at its end the agent ends the children and touches nothing', async (t) => {
  const { engine, guard, settle, pass, wanted } = await guarding();
  engine.stop();
  engine.namespaces.remove({ name: 'shop', labels: {} });
  await settle();
  await pass(60_000);
  t.same(
    guard.calls.filter((call) => call !== 'look'),
    ['start', 'stop'],
  );
  t.same(wanted, ['u1: True Guarded']);
});
