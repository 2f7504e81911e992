// Istio's own parts come and go: guarded pods stay guarded, and new ones are guarded or counted as not.
import t, { type Test as Tap } from 'tap';
import { CHECKER_CONTAINER, OPT_IN_LABEL } from '../../lib/contract.ts';
import { ISTIO_NAMESPACE } from '../../tools/mesh/istio-installation.ts';
import { apply, kubectl, tryKubectl } from '../harness/cluster/kubectl.ts';
import { skipWithoutNode } from '../harness/cluster/node-side.ts';
import { askChecker, barePod, getPod, type Pod, waitReady } from '../harness/cluster/pod-status.ts';
import { plainNamespace } from '../harness/cluster/test-workloads.ts';
import { askWebhook, install } from '../harness/cluster/webhook-installation.ts';
import { changeMesh } from '../harness/mesh/change-mesh.ts';
import { sendInvalid, startShaper } from '../harness/mesh/invalid-packets.ts';
import { meshNamespace, storePod } from '../harness/mesh/object-store.ts';
import { eventually } from '../harness/wait-until.ts';

const skip = skipWithoutNode;
const READY_LIMIT = 180_000;
const ISTIOD = ['deployment/istiod', '-n', ISTIO_NAMESPACE];
const LONG = { limit: 130_000 };

t.before(async () => {
  if (skip) return;
  await install();
  t.teardown(await startShaper());
});

async function guarded(namespace: string, name: string): Promise<Pod> {
  const pod = await waitReady(namespace, name, READY_LIMIT);
  const report = JSON.parse(await askChecker(namespace, name, '/selfcheck')) as { guarded: boolean };
  if (!report.guarded) throw new Error(`${name} is not guarded`);
  return pod;
}

async function staysGuarded(t: Tap, namespace: string, name: string): Promise<void> {
  const pod = await guarded(namespace, name);
  t.strictSame([...(await sendInvalid(pod)).values()], ['dropped', 'dropped'], `${name} stays guarded`);
}

t.test('istiod is rolled: old pods and new', { skip }, async (t) => {
  const namespace = await meshNamespace(t, true);
  await apply(storePod(namespace, 'before'));
  await guarded(namespace, 'before');
  await kubectl(['rollout', 'restart', ...ISTIOD]);
  await kubectl(['rollout', 'status', ...ISTIOD, '--timeout=120s'], LONG);
  await staysGuarded(t, namespace, 'before');
  await createOnce(storePod(namespace, 'after'));
  await staysGuarded(t, namespace, 'after');
});

t.test('istiod is down: guarded pods stay so, and pods outside the mesh are guarded', { skip }, async (t) => {
  const [mesh, plain] = [await meshNamespace(t, true), await plainNamespace(t, { [OPT_IN_LABEL]: 'enabled' })];
  await apply(storePod(mesh, 'before'));
  await guarded(mesh, 'before');
  await kubectl(['scale', ...ISTIOD, '--replicas=0']);
  await kubectl(['wait', '--for=delete', 'pod', '-l', 'app=istiod', '-n', ISTIO_NAMESPACE, '--timeout=120s'], LONG);
  await staysGuarded(t, mesh, 'before');
  await apply(barePod(plain, 'outside'));
  await guarded(plain, 'outside');
  const refused = await tryKubectl(['apply', '-f', '-'], { input: JSON.stringify(storePod(mesh, 'refused')) });
  t.match(refused.stderr, /istio/, "Istio's own webhook refuses pods of the mesh, not ours");
  await kubectl(['scale', ...ISTIOD, '--replicas=1']);
  await kubectl(['rollout', 'status', ...ISTIOD, '--timeout=120s'], LONG);
  await createOnce(storePod(mesh, 'after'));
  await staysGuarded(t, mesh, 'after');
});

t.test("istio-cni's pod is down: guarded pods stay so, a new pod is guarded or counted as not", { skip }, async (t) => {
  await changeMesh({ dataplane: 'cni' });
  t.teardown(() => changeMesh({}));
  const namespace = await meshNamespace(t, true);
  await apply(storePod(namespace, 'before'));
  await guarded(namespace, 'before');
  const nowhere = '{"spec":{"template":{"spec":{"nodeSelector":{"e2e":"nowhere"}}}}}';
  await kubectl(['patch', 'daemonset', 'istio-cni-node', '-n', ISTIO_NAMESPACE, '-p', nowhere]);
  const gone = ['wait', '--for=delete', 'pod', '-l', 'k8s-app=istio-cni-node', '-n', ISTIO_NAMESPACE];
  await kubectl([...gone, '--timeout=120s'], LONG);
  await staysGuarded(t, namespace, 'before');
  await apply(storePod(namespace, 'new'));
  // Istio decides whether the pod gets a network without istio-cni. This tests that coverage counts it correctly.
  const told = await eventually('coverage and the kubelet say the same of the new pod', async () => {
    const { total, reasons } = JSON.parse(await askWebhook(`/coverage?namespace=${namespace}`));
    const { status } = await getPod(namespace, 'new');
    const isGuarded = status.initContainerStatuses?.some(({ name, ready }) => name === CHECKER_CONTAINER && ready);
    const known = status.initContainerStatuses !== undefined && total === 2;
    return known && reasons.guarded === (isGuarded ? 2 : 1) && { isGuarded, reasons };
  });
  t.ok(told);
  t.comment(JSON.stringify(told));
});

/** Waits until API server and kube-proxy reach istiod's new pods; before, its webhook does not answer. */
async function createOnce(pod: object): Promise<void> {
  await eventually('Istio injects again', async () => {
    await apply(pod);
    return true;
  });
}
