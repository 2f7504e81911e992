// Pods that the network makes liberal (CNI plugin `tuning`), and that nothing of ours guards: agents look into them and say so, and
// coverage counts them as protected.
import t from 'tap';
import { LIBERAL_SYSCTL } from '../../lib/pod/liberal-sysctl.ts';
import { tuneNewPods } from '../../tools/cluster/cni-tuning.ts';
import { apply, kubectl } from '../harness/cluster/kubectl.ts';
import {
  agentOn,
  agentReport,
  agentsReady,
  beLiberalOf,
  coverageIs,
  guardedByAgent,
  guardedStatus,
  installNodeMode,
  isUntouched,
  optIn,
  waitCondition,
} from '../harness/cluster/node-agents.ts';
import { inPod, node, skipWithoutNode } from '../harness/cluster/node-side.ts';
import { barePod, getPod, waitReady } from '../harness/cluster/pod-status.ts';
import { plainNamespace } from '../harness/cluster/test-workloads.ts';

const skip = skipWithoutNode;

t.before(() => installNodeMode());

t.test('coverage knows pods that the CNI has made liberal, from the agent of their node', { skip }, async (t) => {
  t.teardown(() => tuneNewPods(node(), {}));
  const { nodeName } = node();
  const namespace = await plainNamespace(t);
  await apply(barePod(namespace, 'strict', { nodeName }));
  await waitReady(namespace, 'strict');
  await tuneNewPods(node(), { [LIBERAL_SYSCTL]: '1' });
  await apply(barePod(namespace, 'liberal', { nodeName }));
  await waitReady(namespace, 'liberal');
  t.equal(await beLiberalOf(namespace, 'strict'), '0');
  t.equal(await beLiberalOf(namespace, 'liberal'), '1');

  // Both are older than the label, so that no webhook has seen them.
  await optIn(namespace, 'pod');
  const found = await waitCondition(namespace, 'liberal', { status: 'True', reason: 'LiberalConntrack' });
  t.match(guardedStatus(found)?.message, /nf_conntrack_tcp_be_liberal is 1 in its network namespace/);
  await coverageIs(namespace, { 'liberal-conntrack': 1, 'created-before-opt-in': 1 });
  t.equal(guardedStatus(await getPod(namespace, 'strict')), undefined, 'of the other nothing is written');
  for (const name of ['strict', 'liberal']) t.ok(await isUntouched(namespace, name), `${name} is left as it is`);
  const reported = (await agentReport(nodeName)).pods?.filter((one) => one.namespace === namespace) ?? [];
  t.strictSame(
    new Map(reported.map(({ pod, state, liberal }) => [pod, [state, liberal]])),
    new Map(Object.entries({ strict: ['left-alone', false], liberal: ['left-alone', true] })),
  );

  await t.test('where it is liberal no more, an agent that starts says so', async () => {
    await inPod(namespace, 'liberal', 'sysctl', '-q', '-w', `${LIBERAL_SYSCTL}=0`);
    const { metadata } = await agentOn(nodeName);
    await kubectl(['delete', 'pod', metadata.name, '-n', metadata.namespace]);
    await agentsReady();
    await waitCondition(namespace, 'liberal', { status: 'False', reason: 'StrictConntrack' });
    await coverageIs(namespace, { 'created-before-opt-in': 2 });
  });

  await t.test('and once the namespace asks for agents, it is guarded as any other', async () => {
    await optIn(namespace, 'node');
    await guardedByAgent(namespace, 'liberal');
    await coverageIs(namespace, { 'guarded-by-agent': 2 });
  });
});
