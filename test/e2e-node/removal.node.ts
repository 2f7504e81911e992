// Removes agents and webhook. The last of the suite.
import t from 'tap';
import { OWN_NAMESPACE } from '../../lib/contract.ts';
import { apply, getJson, tryKubectl } from '../harness/cluster/kubectl.ts';
import {
  DROPS,
  guardedByAgent,
  guardedStatus,
  hasGate,
  installNodeMode,
  lifeOf,
  NODE_OVERLAY,
  nodeNamespace,
} from '../harness/cluster/node-agents.ts';
import { podRuleset, skipWithoutNode } from '../harness/cluster/node-side.ts';
import { getPod, isReady, restrictedPod, waitReady } from '../harness/cluster/pod-status.ts';
import { uninstall } from '../harness/cluster/webhook-installation.ts';

const KINDS = [
  'clusterroles',
  'clusterrolebindings',
  'mutatingwebhookconfigurations',
  'validatingadmissionpolicies',
  'validatingadmissionpolicybindings',
  'namespaces',
];

t.test(
  'after kubectl delete -k: guarded pods stay so, and work; new ones wait for nobody',
  { skip: skipWithoutNode },
  async (t) => {
    await installNodeMode();
    const namespace = await nodeNamespace(t);
    await apply(restrictedPod(namespace, 'guarded'));
    const before = await guardedByAgent(namespace, 'guarded');
    const ruleset = await podRuleset(namespace, 'guarded');
    t.match(ruleset, DROPS);

    await uninstall(NODE_OVERLAY);
    await apply(restrictedPod(namespace, 'after'));
    t.notOk(hasGate(await waitReady(namespace, 'after')));
    const pod = await getPod(namespace, 'guarded');
    t.ok(isReady(pod));
    t.strictSame(lifeOf(pod), lifeOf(before));
    t.strictSame(guardedStatus(pod), guardedStatus(before));
    t.equal(await podRuleset(namespace, 'guarded'), ruleset, 'its rules are as they were');
    for (const kind of KINDS) {
      const found = await getJson<{ items: { metadata: { name: string } }[] }>(
        kind,
        '-l',
        'app.kubernetes.io/name=invalid-drop',
      );
      t.strictSame(
        found.items.map(({ metadata }) => metadata.name),
        [],
        kind,
      );
    }
    t.match((await tryKubectl(['get', 'namespace', OWN_NAMESPACE])).stderr, 'NotFound');
  },
);
