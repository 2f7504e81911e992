// Pods of the mesh that the agent of their node guards: in each way in which Istio redirects, and the incident itself.
import t from 'tap';
import { ISTIO_NAMESPACE, podAnnotations } from '../../tools/mesh/istio-installation.ts';
import type { PodMode } from '../../tools/mesh/mesh-settings.ts';
import { apply } from '../harness/cluster/kubectl.ts';
import {
  DROPS,
  hasGate,
  installNodeMode,
  PLACED_ON_NODE,
  removeAgents,
  waitCondition,
} from '../harness/cluster/node-agents.ts';
import { PodPrograms, podRuleset, skipWithoutNode } from '../harness/cluster/node-side.ts';
import { isInjected, waitReady } from '../harness/cluster/pod-status.ts';
import { plainNamespace } from '../harness/cluster/test-workloads.ts';
import { install } from '../harness/cluster/webhook-installation.ts';
import { changeMesh } from '../harness/mesh/change-mesh.ts';
import { gatewayPod, untilPassedOn, upload, withStrays } from '../harness/mesh/gateway-uploads.ts';
import { sendInvalid, startShaper } from '../harness/mesh/invalid-packets.ts';
import { runStore, storePod } from '../harness/mesh/object-store.ts';

const skip = skipWithoutNode;
const READY_LIMIT = 180_000;
const UPLOADS = 20;
const MESHES = (['init', 'cni'] as const).flatMap((dataplane) =>
  [false, true].map((nftables) => ({ dataplane, nftables })),
);
/** Of modes.mesh.ts those that differ most for whoever looks from outside. */
const POD_MODES: Record<string, PodMode> = {
  redirect: { interception: 'REDIRECT', nativeSidecars: true, invalidDrop: false, dualStack: true },
  classic: { interception: 'REDIRECT', nativeSidecars: false, invalidDrop: true, dualStack: true },
  tproxy: { interception: 'TPROXY', nativeSidecars: true, invalidDrop: false, dualStack: true },
};
const LABELS = { 'istio-injection': 'enabled', ...PLACED_ON_NODE };

t.before(async () => {
  if (skip) return;
  await installNodeMode();
  t.teardown(await startShaper());
});
t.teardown(async () => {
  if (skip) return;
  await changeMesh({});
  await removeAgents();
  await install();
});

for (const mesh of MESHES) {
  t.test(`${mesh.dataplane}, ${mesh.nftables ? 'native nftables' : 'iptables'}`, { skip }, async (t) => {
    await changeMesh(mesh);
    const namespace = await plainNamespace(t, LABELS);
    await apply(...Object.entries(POD_MODES).map(([name, mode]) => storePod(namespace, name, podAnnotations(mode))));
    for (const name of Object.keys(POD_MODES)) {
      const pod = await waitReady(namespace, name, READY_LIMIT);
      t.ok(hasGate(pod), name);
      t.notOk(isInjected(pod));
      await waitCondition(namespace, name, { status: 'True', reason: 'Guarded' });
      // Where Istio's own rule was there first, in whatever form, the agent puts in no second one.
      if (!POD_MODES[name]?.invalidDrop) t.match(await podRuleset(namespace, name), DROPS);
      t.strictSame([...(await sendInvalid(pod)).values()], ['dropped', 'dropped'], `${name}: as real packets`);
    }
  });
}

t.test(`the incident: none of ${UPLOADS} uploads fails, through both Envoys`, { skip }, async (t) => {
  await changeMesh({});
  const namespace = await plainNamespace(t, LABELS);
  const name = `store.${namespace}`;
  t.ok(hasGate(await runStore(namespace, 'store')));
  const gateway = await gatewayPod();
  const address = gateway.status.podIP ?? '';
  await untilPassedOn(address, name);
  const sender = new PodPrograms(ISTIO_NAMESPACE, gateway.metadata.name);
  const { result, strays } = await withStrays(sender, () => upload(address, name, UPLOADS));
  t.strictSame(
    result.filter(({ ok }) => !ok),
    [],
  );
  t.ok(strays >= UPLOADS, `${strays} stray segments`);
});
