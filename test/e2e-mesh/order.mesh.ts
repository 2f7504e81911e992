// Our webhook before Istio's and after it: the API server calls them in the order of their names.
import t from 'tap';
import { CHECK_COMMAND, CHECKER_CONTAINER } from '../../lib/contract.ts';
import { podAnnotations } from '../../tools/mesh/istio-installation.ts';
import type { PodMode } from '../../tools/mesh/mesh-settings.ts';
import { apply, getJson, kubectl } from '../harness/cluster/kubectl.ts';
import { killContainer, skipWithoutNode } from '../harness/cluster/node-side.ts';
import { containerNames, type Pod, restartsIn, waitReady } from '../harness/cluster/pod-status.ts';
import { install } from '../harness/cluster/webhook-installation.ts';
import { changeMesh } from '../harness/mesh/change-mesh.ts';
import { sendInvalid, startShaper } from '../harness/mesh/invalid-packets.ts';
import { meshNamespace, storePod } from '../harness/mesh/object-store.ts';

const skip = skipWithoutNode;
/** The configuration that selects pods: once it is there, istio-sidecar-injector selects none. */
const ISTIO = 'istio-revision-tag-default';
const BEFORE_OURS = 'a-istio-revision-tag-default';
const READY_LIMIT = 180_000;

interface Configuration {
  metadata: { name: string; [key: string]: unknown };
  [key: string]: unknown;
}

/** Gives Istio's webhook configuration another name, with the same content. */
async function rename(from: string, to: string): Promise<void> {
  const found = await getJson<Configuration>('mutatingwebhookconfiguration', from);
  const { labels } = found.metadata;
  await kubectl(['create', '-f', '-'], { input: JSON.stringify({ ...found, metadata: { name: to, labels } }) });
  await kubectl(['delete', 'mutatingwebhookconfiguration', from]);
}

t.before(async () => {
  if (skip) return;
  await install();
  t.teardown(await startShaper());
});
t.teardown(() => changeMesh({}));

async function guardedPod(namespace: string, name: string, mode: PodMode): Promise<Pod> {
  await apply(storePod(namespace, name, podAnnotations(mode)));
  const pod = await waitReady(namespace, name, READY_LIMIT);
  await isGuarded(namespace, name);
  return pod;
}

/** Asked in the pod: after Istio's webhook ours cannot keep the checker's port from being redirected. @throws where it is not */
async function isGuarded(namespace: string, name: string): Promise<void> {
  await kubectl(['exec', name, '-n', namespace, '-c', CHECKER_CONTAINER, '--', ...CHECK_COMMAND, '--once']);
}

/**
 * Our containers of a pod, without what Kubernetes adds to each container, and without the probe: its way depends on what
 * Istio's webhook has done, or will do.
 */
function ours({ spec }: Pod): object[] {
  const all = [...(spec.initContainers ?? []), ...spec.containers];
  return all
    .filter(({ name }) => name.startsWith('invalid-drop-'))
    .map(({ volumeMounts: _, readinessProbe: __, ...container }) => container);
}

/** Whether the containers stand in this order, which is the order of their starts. */
function areInOrder(pod: Pod, ...names: string[]): boolean {
  return isSame(
    containerNames(pod).filter((name) => names.includes(name)),
    names,
  );
}

const isSame = (a: string[], b: string[]) => a.join() === b.join();

for (const dataplane of ['init', 'cni'] as const) {
  t.test(`${dataplane}: before or after, the same container of ours, the same verdict`, { skip }, async (t) => {
    await changeMesh({ dataplane });
    const namespace = await meshNamespace(t, true);
    for (const nativeSidecars of [true, false]) {
      const mode: PodMode = { interception: 'REDIRECT', nativeSidecars, invalidDrop: false, dualStack: true };
      const kind = nativeSidecars ? 'native' : 'classic';
      const first = await guardedPod(namespace, `we-are-first-${kind}`, mode);
      await rename(ISTIO, BEFORE_OURS);
      const second = await guardedPod(namespace, `we-are-second-${kind}`, mode).finally(() =>
        rename(BEFORE_OURS, ISTIO),
      );
      t.equal(ours(first).length, 1, kind);
      t.strictSame(ours(second), ours(first), kind);
      t.strictSame(containerNames(second).sort(), containerNames(first).sort(), kind);
      t.equal(containerNames(second)[0], CHECKER_CONTAINER, `${kind}: before all of Istio's, called after its webhook`);
      // Istio's webhook puts a native sidecar of its own before what is there; the application comes after ours all the same.
      const proxyIsFirst = areInOrder(first, 'istio-proxy', CHECKER_CONTAINER, 'app');
      t.equal(proxyIsFirst, nativeSidecars, `${kind}: ${containerNames(first)}`);
      for (const pod of nativeSidecars ? [second] : [first, second]) {
        t.ok(areInOrder(pod, CHECKER_CONTAINER, 'istio-proxy'), `${pod.metadata.name}: ${containerNames(pod)}`);
        t.ok(areInOrder(pod, CHECKER_CONTAINER, 'app'), pod.metadata.name);
      }
      for (const pod of [first, second]) {
        const names = containerNames(pod);
        t.equal(new Set(names).size, names.length, 'each container once');
        t.equal(restartsIn(pod), 0);
        t.strictSame([...(await sendInvalid(pod)).values()], ['dropped', 'dropped'], pod.metadata.name);
      }
      for (const { metadata } of [first, second]) {
        await killContainer(namespace, metadata.name, CHECKER_CONTAINER);
        await waitReady(namespace, metadata.name, READY_LIMIT);
        await isGuarded(namespace, metadata.name);
      }
      await kubectl(['delete', 'pods', '--all', '-n', namespace, '--wait=false']);
    }
  });
}
