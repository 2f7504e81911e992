// Every mode of Istio: what writes the redirection, with which program, to which port, which sidecar, Istio's own drop
// or not.
import t, { type Test as Tap } from 'tap';
import { podAnnotations } from '../../tools/mesh/istio-installation.ts';
import type { PodMode } from '../../tools/mesh/mesh-settings.ts';
import { apply, kubectl } from '../harness/cluster/kubectl.ts';
import { podRuleset, skipWithoutNode } from '../harness/cluster/node-side.ts';
import { askChecker, isInjected, type Pod, waitReady } from '../harness/cluster/pod-status.ts';
import { install } from '../harness/cluster/webhook-installation.ts';
import { changeMesh } from '../harness/mesh/change-mesh.ts';
import { sendInvalid, startShaper } from '../harness/mesh/invalid-packets.ts';
import { meshNamespace, storePod } from '../harness/mesh/object-store.ts';

const skip = skipWithoutNode;
const READY_LIMIT = 180_000;
const BOTH = [false, true];
const MESHES = (['init', 'cni'] as const).flatMap((dataplane) => BOTH.map((nftables) => ({ dataplane, nftables })));
const POD_MODES: PodMode[] = (['REDIRECT', 'TPROXY'] as const).flatMap((interception) =>
  BOTH.flatMap((nativeSidecars) =>
    BOTH.flatMap((invalidDrop) => BOTH.map((dualStack) => ({ interception, nativeSidecars, invalidDrop, dualStack }))),
  ),
);
/** Pods that start at a time: each has an Envoy. */
const AT_A_TIME = 8;

interface Report {
  guarded: boolean;
  families: Record<
    string,
    { present: boolean; external?: { mustDrop: { holds: string; rules: { owner: string }[] } } }
  >;
}

const nameOf = (mode: PodMode) =>
  [
    mode.interception.toLowerCase(),
    mode.nativeSidecars ? 'native' : 'classic',
    mode.invalidDrop ? 'own-drop' : 'no-drop',
    mode.dualStack ? 'dual' : 'ipv4',
  ].join('-');

t.before(async () => {
  if (skip) return;
  await install();
  t.teardown(await startShaper());
});
t.teardown(() => changeMesh({}));

for (const mesh of MESHES) {
  const title = `${mesh.dataplane}, ${mesh.nftables ? 'native nftables' : 'iptables'}`;
  t.test(title, { skip }, async (t) => {
    await changeMesh(mesh);
    const namespace = await meshNamespace(t, true);
    for (let first = 0; first < POD_MODES.length; first += AT_A_TIME) {
      const modes = POD_MODES.slice(first, first + AT_A_TIME);
      await apply(...modes.map((mode) => storePod(namespace, nameOf(mode), podAnnotations(mode))));
      for (const mode of modes) await t.test(nameOf(mode), (t) => isGuardedIn(t, mesh.dataplane, namespace, mode));
      await kubectl(['delete', 'pods', '--all', '-n', namespace, '--wait=false']);
    }
    await t.test('and without the label a reset comes back', (t) => escapesWithout(t));
  });
}

async function isGuardedIn(t: Tap, dataplane: 'init' | 'cni', namespace: string, mode: PodMode): Promise<void> {
  const pod = await waitReady(namespace, nameOf(mode), READY_LIMIT);
  t.ok(isInjected(pod));
  t.equal(sidecarIsNative(pod), mode.nativeSidecars);
  const report = JSON.parse(await askChecker(namespace, nameOf(mode), '/selfcheck')) as Report;
  t.equal(report.guarded, true);
  const seen = await sendInvalid(pod);
  for (const [family, { external }] of Object.entries(report.families)) {
    t.equal(external?.mustDrop.holds, 'yes', family);
  }
  // A classic sidecar's istio-init runs after ours; otherwise Istio's rule is there first, and is enough.
  const istioFirst = dataplane === 'cni' || mode.nativeSidecars;
  const istioDrops = mode.invalidDrop && istioFirst;
  const owners = (report.families['ipv4']?.external?.mustDrop.rules ?? []).map(({ owner }) => owner);
  t.equal(owners.filter((owner) => owner === 'invalid-drop').length, istioDrops ? 0 : 1, owners.join(', '));
  // Two chains of the same priority, in two tables: either may be the one that drops.
  if (owners.length > 1)
    t.ok(mode.invalidDrop && !istioFirst, 'more than one only where Istio adds its own after ours');
  const ruleset = await podRuleset(namespace, nameOf(mode));
  t.equal(/istio-drop|ISTIO_DROP/.test(ruleset), mode.invalidDrop, "Istio's own rule is left alone");
  t.strictSame([...seen.values()], ['dropped', 'dropped'], 'as real packets');
}

/** The control: the packets are INVALID, and a reset would be seen. */
async function escapesWithout(t: Tap): Promise<void> {
  const namespace = await meshNamespace(t, false);
  const mode: PodMode = { interception: 'REDIRECT', nativeSidecars: true, invalidDrop: false, dualStack: true };
  await apply(storePod(namespace, 'bare', podAnnotations(mode)));
  const pod = await waitReady(namespace, 'bare', READY_LIMIT);
  t.strictSame([...(await sendInvalid(pod)).values()], ['reset', 'reset']);
}

function sidecarIsNative({ spec }: Pod): boolean {
  return (spec.initContainers ?? []).some(({ name }) => name === 'istio-proxy');
}
