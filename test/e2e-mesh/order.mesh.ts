// Our webhook before Istio's and after it: the API server calls them in the order of their names.
import t from 'tap';
import { CHECKER_CONTAINER, INIT_CONTAINER } from '../../lib/contract.ts';
import { apply, getJson, kubectl } from '../harness/cluster/kubectl.ts';
import { skipWithoutNode } from '../harness/cluster/node-side.ts';
import { askChecker, containerNames, type Pod, waitReady } from '../harness/cluster/pod-status.ts';
import { install } from '../harness/cluster/webhook-installation.ts';
import { sendInvalid, startShaper } from '../harness/mesh/invalid-packets.ts';
import { meshNamespace, storePod } from '../harness/mesh/object-store.ts';

const skip = skipWithoutNode;
const ISTIO = 'istio-sidecar-injector';
const BEFORE_OURS = 'a-istio-sidecar-injector';
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

/** Our containers of a pod, without what Kubernetes adds to each container. */
function ours({ spec }: Pod): object[] {
  const all = [...(spec.initContainers ?? []), ...spec.containers];
  return all
    .filter(({ name }) => name === INIT_CONTAINER || name === CHECKER_CONTAINER)
    .map(({ volumeMounts: _, ...container }) => container);
}

async function guardedPod(namespace: string, name: string): Promise<Pod> {
  await apply(storePod(namespace, name));
  const pod = await waitReady(namespace, name, READY_LIMIT);
  const report = JSON.parse(await askChecker(namespace, name, '/selfcheck')) as { guarded: boolean };
  if (!report.guarded) throw new Error(`${name} is not guarded`);
  return pod;
}

t.test('before or after: the same containers of ours, the same verdict', { skip }, async (t) => {
  const namespace = await meshNamespace(t, true);
  const first = await guardedPod(namespace, 'we-are-first');
  await rename(ISTIO, BEFORE_OURS);
  t.teardown(() => rename(BEFORE_OURS, ISTIO));
  const second = await guardedPod(namespace, 'we-are-second');
  t.strictSame(ours(second), ours(first));
  t.strictSame(containerNames(second).sort(), containerNames(first).sort());
  for (const pod of [first, second]) {
    const names = containerNames(pod);
    t.equal(new Set(names).size, names.length, 'each container once');
    t.ok(names.includes('istio-proxy'));
    t.strictSame([...(await sendInvalid(pod)).values()], ['dropped', 'dropped'], pod.metadata.name);
  }
});
