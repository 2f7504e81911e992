// Agents that are away: killed, replaced, not there yet, or without an API server. Rules and conditions stay meanwhile, and
// what an agent missed it takes up.
import t from 'tap';
import { OWN_NAMESPACE } from '../../lib/contract.ts';
import { startComponent, stopComponent } from '../../tools/cluster/cluster-components.ts';
import { apply, kubectl } from '../harness/cluster/kubectl.ts';
import {
  agentOn,
  agentsReady,
  DAEMON_SET,
  DROPS,
  EACH_DROP,
  guardedByAgent,
  guardedStatus,
  hasGate,
  installNodeMode,
  lifeOf,
  nodeNamespace,
  otherNode,
  waitCondition,
  withoutAgents,
} from '../harness/cluster/node-agents.ts';
import {
  flushPod,
  heldNetwork,
  killContainer,
  node,
  podRuleset,
  restart,
  skipWithoutNode,
} from '../harness/cluster/node-side.ts';
import { getPod, isReady, restrictedPod, waitReady } from '../harness/cluster/pod-status.ts';
import { eventually, waitUntil } from '../harness/wait-until.ts';

const skip = skipWithoutNode;
/** Milliseconds for which the API server is away. */
const AWAY = 60_000;
const REPAIR_LIMIT = 30_000;
const REPAIRS = 3;
const RETURN_LIMIT = 120_000;

t.before(() => installNodeMode());

t.test(
  'an agent that is killed: its pods stay Ready, and the next one repairs what was lost meanwhile',
  { skip },
  async (t) => {
    const namespace = await nodeNamespace(t);
    const nodeName = await otherNode();
    await apply(restrictedPod(namespace, 'kept', { nodeName }), restrictedPod(namespace, 'lost', { nodeName }));
    const [kept, lost] = [await guardedByAgent(namespace, 'kept'), await guardedByAgent(namespace, 'lost')];
    const { metadata } = await agentOn(nodeName);
    const killed = killContainer(OWN_NAMESPACE, metadata.name, 'node-agent');
    await flushPod(namespace, 'lost');
    await killed;
    await eventually('the rule is back', async () => DROPS.test(await podRuleset(namespace, 'lost')));
    t.strictSame(lifeOf(await guardedByAgent(namespace, 'lost')), lifeOf(lost));
    const after = await guardedByAgent(namespace, 'kept');
    t.strictSame(lifeOf(after), lifeOf(kept));
    t.strictSame(guardedStatus(after), guardedStatus(kept), 'its condition did not change once');
    await agentOn(nodeName);
  },
);

t.test('an upgrade of the agents: no pod loses its readiness', { skip }, async (t) => {
  const namespace = await nodeNamespace(t);
  await apply(restrictedPod(namespace, 'old'));
  const before = await guardedByAgent(namespace, 'old');
  await kubectl(['rollout', 'restart', ...DAEMON_SET]);
  await agentsReady();
  await apply(restrictedPod(namespace, 'new'));
  await guardedByAgent(namespace, 'new');
  const after = await guardedByAgent(namespace, 'old');
  t.strictSame(guardedStatus(after), guardedStatus(before));
  t.strictSame(lifeOf(after), lifeOf(before));
});

t.test('without an agent a new pod waits, a running one does not, and none in observe', { skip }, async (t) => {
  const namespace = await nodeNamespace(t);
  await apply(restrictedPod(namespace, 'running'));
  await guardedByAgent(namespace, 'running');
  const bringBack = await withoutAgents();
  const observe = { annotations: { 'invalid-drop.io/mode': 'observe' } };
  await apply(restrictedPod(namespace, 'waiting'), restrictedPod(namespace, 'observed', {}, observe));
  t.notOk(hasGate(await waitReady(namespace, 'observed')), 'in observe there is no gate');
  await kubectl(['wait', '--for=condition=ContainersReady', 'pod/waiting', '-n', namespace, '--timeout=60s'], {
    limit: 70_000,
  });
  const waiting = await getPod(namespace, 'waiting');
  t.ok(hasGate(waiting));
  t.notOk(isReady(waiting), 'all its containers are, and the pod waits');
  t.match(await kubectl(['get', 'pod', 'waiting', '-n', namespace, '-o', 'wide']), /READINESS GATES\n.* 0\/1\s*$/);
  t.ok(isReady(await getPod(namespace, 'running')));
  t.match(await podRuleset(namespace, 'running'), DROPS);

  await bringBack();
  await guardedByAgent(namespace, 'waiting');
  t.match(await kubectl(['get', 'pod', 'waiting', '-n', namespace, '-o', 'wide']), /READINESS GATES\n.* 1\/1\s*$/);
  await guardedByAgent(namespace, 'observed');
});

t.test(
  'the API server is away for a minute: drift is repaired all the same, and told of afterwards',
  { skip },
  async (t) => {
    const namespace = await nodeNamespace(t);
    const report = { annotations: { 'invalid-drop.io/on-drift': 'report' } };
    await apply(restrictedPod(namespace, 'repaired'), restrictedPod(namespace, 'told', {}, report));
    const before = await guardedByAgent(namespace, 'repaired');
    await guardedByAgent(namespace, 'told');
    const [repaired, told] = [await heldNetwork(namespace, 'repaired'), await heldNetwork(namespace, 'told')];
    const end = performance.now() + AWAY;
    await stopComponent(node(), 'kube-apiserver');
    try {
      await told('nft', 'flush', 'ruleset');
      const isBack = async () => {
        const ruleset = await repaired('nft', 'list', 'ruleset');
        return ruleset.match(EACH_DROP)?.length === 2 && ruleset.includes('table inet invalid-drop');
      };
      for (let round = 0; round < REPAIRS; round++) {
        await repaired('nft', 'flush', 'ruleset');
        t.ok(await waitUntil(isBack, REPAIR_LIMIT), 'it is repaired');
      }
      await waitUntil(() => performance.now() > end, AWAY);
    } finally {
      await startComponent(node(), 'kube-apiserver');
      // It tries refused watches ever later: once the webhook's Service had no endpoints for seven minutes, in the tests after this.
      await restart('kube-controller-manager');
    }
    const back = performance.now();
    await waitCondition(namespace, 'told', { status: 'False', reason: 'NotGuarded' });
    t.comment(`${Math.round(performance.now() - back)} ms from its return until the condition was seen`);
    const after = await waitCondition(namespace, 'repaired', { status: 'True', reason: 'Guarded' });
    t.strictSame(lifeOf(after), lifeOf(before));
    t.strictSame(guardedStatus(after), guardedStatus(before), 'nothing had to be told of it');
    // The nodes' leases have run out meanwhile: pods are not Ready, and the scheduler leaves the nodes alone, until the
    // controllers and kubelets have come to terms. That takes a minute, and is not ours.
    await apply(restrictedPod(namespace, 'new', { nodeName: await otherNode() }));
    await waitCondition(namespace, 'new', { status: 'True', reason: 'Guarded' }, RETURN_LIMIT);
  },
);
