// What guards a pod: its own containers or the agent of its node, and never both, also while a namespace is switched.
import t from 'tap';
import { apply } from '../harness/cluster/kubectl.ts';
import {
  coverageIs,
  DROPS,
  guardedByAgent,
  guardedStatus,
  hasGate,
  installNodeMode,
  lifeOf,
  nodeNamespace,
  optIn,
  PLACED_ON_NODE,
  waitCondition,
} from '../harness/cluster/node-agents.ts';
import { podRuleset, skipWithoutNode } from '../harness/cluster/node-side.ts';
import { barePod, getPod, isInjected, isReady, restrictedPod, waitReady } from '../harness/cluster/pod-status.ts';
import { plainNamespace } from '../harness/cluster/test-workloads.ts';

const skip = skipWithoutNode;

t.before(() => installNodeMode());

async function rulesOf(namespace: string, name: string): Promise<number> {
  return (await podRuleset(namespace, name)).match(new RegExp(DROPS, 'g'))?.length ?? 0;
}

t.test('a namespace is switched both ways while its pods run', { skip }, async (t) => {
  const namespace = await plainNamespace(t);
  await optIn(namespace, 'pod');
  await apply(barePod(namespace, 'injected'));
  const injected = await waitReady(namespace, 'injected');
  t.ok(isInjected(injected));
  t.notOk(hasGate(injected));

  await optIn(namespace, 'node');
  await apply(barePod(namespace, 'gated'));
  const gated = await guardedByAgent(namespace, 'gated');
  t.ok(hasGate(gated));
  t.notOk(isInjected(gated));
  t.equal(guardedStatus(await getPod(namespace, 'injected')), undefined, 'its own containers go on');
  t.equal(await rulesOf(namespace, 'injected'), 2);
  await coverageIs(namespace, { guarded: 1, 'guarded-by-agent': 1 });

  await optIn(namespace, 'pod');
  await apply(barePod(namespace, 'later'));
  const later = await waitReady(namespace, 'later');
  t.ok(isInjected(later));
  t.notOk(hasGate(later));
  t.equal(guardedStatus(later), undefined);
  t.strictSame(lifeOf(await guardedByAgent(namespace, 'gated')), lifeOf(gated), 'the agent goes on');
  for (const name of ['injected', 'later']) t.equal(await rulesOf(namespace, name), 2, name);
  await coverageIs(namespace, { guarded: 2, 'guarded-by-agent': 1 });
  t.strictSame(lifeOf(await getPod(namespace, 'injected')), lifeOf(injected));
});

t.test('a running pod that an agent took up stays guarded where the namespace is switched', { skip }, async (t) => {
  const namespace = await plainNamespace(t);
  await apply(barePod(namespace, 'older'));
  const before = await waitReady(namespace, 'older');
  await optIn(namespace, 'node');
  await guardedByAgent(namespace, 'older');
  await coverageIs(namespace, { 'guarded-by-agent': 1 });
  await optIn(namespace, 'pod');
  await apply(barePod(namespace, 'control'));
  await waitReady(namespace, 'control');
  t.strictSame(lifeOf(await guardedByAgent(namespace, 'older')), lifeOf(before));
});

t.test('enabled means the pod mode here; pods that opt out or observe are told apart', { skip }, async (t) => {
  const enabled = await plainNamespace(t);
  await optIn(enabled, 'enabled');
  const namespace = await nodeNamespace(t);
  const annotated = (name: string, annotations: object) => restrictedPod(namespace, name, {}, { annotations });
  await apply(
    barePod(enabled, 'default'),
    annotated('out', { 'invalid-drop.io/inject': 'disabled' }),
    annotated('observed', { 'invalid-drop.io/mode': 'observe' }),
    restrictedPod(namespace, 'guarded'),
  );
  t.ok(isInjected(await waitReady(enabled, 'default')));
  await guardedByAgent(namespace, 'guarded');
  const observed = await waitCondition(namespace, 'observed', { status: 'True', reason: 'Guarded' });
  t.notOk(hasGate(observed));
  const out = await waitReady(namespace, 'out');
  t.ok(isReady(out));
  t.notOk(hasGate(out));
  t.equal(guardedStatus(out), undefined);
  t.equal(await rulesOf(namespace, 'out'), 0);
  await coverageIs(namespace, { 'guarded-by-agent': 2, 'opted-out': 1 });
});

t.test('a label that asks for agents in a pod that is left alone changes nothing', { skip }, async (t) => {
  const namespace = await plainNamespace(t, PLACED_ON_NODE);
  await apply(barePod(namespace, 'host', { hostNetwork: true }));
  t.notOk(hasGate(await waitReady(namespace, 'host')));
  await coverageIs(namespace, { 'host-network': 1 });
});
