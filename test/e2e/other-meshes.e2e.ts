// Pods of Linkerd, Kuma, Consul and Open Service Mesh, whose injectors are called before us and after us. Each pod redirects every port
// that is not exempt to one on which nobody listens: it gets Ready only if its probe can reach the checker.
import t, { type Test } from 'tap';
import { CHECKER_CONTAINER } from '../../lib/contract.ts';
import { MESHES } from '../../lib/mesh/meshes.ts';
import { create, kubectl } from '../harness/cluster/kubectl.ts';
import { skipWithoutNode } from '../harness/cluster/node-side.ts';
import { injectRunning } from '../harness/cluster/other-mesh-pod.ts';
import { askChecker, barePod, containerNames, type Pod, waitReady } from '../harness/cluster/pod-status.ts';
import { runInjector } from '../harness/cluster/stand-in-injector.ts';
import { optedInNamespace } from '../harness/cluster/test-workloads.ts';
import { askWebhook, install } from '../harness/cluster/webhook-installation.ts';
import { eventually } from '../harness/wait-until.ts';
import { INJECTOR_NAMES, type OtherInjector } from '../webhook/admission/other-injectors.ts';

const skip = skipWithoutNode;

t.before(() => install());

/** How a pod, or its namespace, asks for each mesh. */
const ASKED: Record<
  OtherInjector,
  { metadata?: object; labels?: Record<string, string>; annotations?: Record<string, string> }
> = {
  linkerd: { annotations: { 'linkerd.io/inject': 'enabled', 'config.linkerd.io/skip-inbound-ports': '25,8000-8010' } },
  kuma: { labels: { 'kuma.io/sidecar-injection': 'enabled' } },
  consul: { metadata: { annotations: { 'consul.hashicorp.com/connect-inject': 'true' } } },
  osm: { annotations: { 'openservicemesh.io/sidecar-injection': 'enabled' } },
};

/** What the annotation is when the injector comes after us. */
const PORTS: Record<OtherInjector, string> = {
  linkerd: '25,8000-8010,15099',
  kuma: '15099',
  consul: '15099',
  osm: '15099',
};

/** @param order of the injector's webhook and ours, by their names */
async function injectedPod(t: Test, mesh: OtherInjector, order: 'before' | 'after'): Promise<Pod> {
  const { metadata = {}, labels = {}, annotations = {} } = ASKED[mesh];
  const namespace = await optedInNamespace(t, labels);
  const words = Object.entries(annotations).map(([name, value]) => `${name}=${value}`);
  if (words.length > 0) await kubectl(['annotate', 'namespace', namespace, ...words]);
  if (order === 'after') await knownToWebhook(namespace, mesh, metadata);
  const name = `${order === 'before' ? 'e2e' : 'z-e2e'}-${mesh}`;
  await runInjector(t, name, namespace, (pod) => injectRunning(mesh, pod, annotations));
  const [pod] = await create<Pod>(barePod(namespace, `${order}-${mesh}`, {}, metadata));
  if (!pod) throw new Error('not created');
  return pod;
}

/** Waits until both replicas have heard of the namespace: until then a pod gets no annotation of the mesh. */
async function knownToWebhook(namespace: string, mesh: OtherInjector, metadata: object): Promise<void> {
  const input = JSON.stringify(barePod(namespace, 'canary', {}, metadata));
  for (let calls = 0; calls < 6; calls += 1) {
    await eventually(`${mesh}: the webhook knows ${namespace}`, async () => {
      const dryRun = await kubectl(['create', '--dry-run=server', '-o', 'json', '-f', '-'], { input });
      return (JSON.parse(dryRun) as Pod).metadata.annotations?.[MESHES[mesh].exemptPorts] === PORTS[mesh];
    });
  }
}

async function isGuarded(t: Test, { metadata: { namespace, name } }: Pod): Promise<void> {
  await waitReady(namespace, name);
  const coverage = await eventually('coverage knows the pod', async () => {
    const answer = JSON.parse(await askWebhook(`/coverage?namespace=${namespace}`));
    return answer.reasons.guarded === 1 && answer;
  });
  t.same(coverage.reasons, { guarded: 1 });
}

const probeOf = ({ spec }: Pod) =>
  spec.initContainers?.find(({ name }) => name === CHECKER_CONTAINER)?.['readinessProbe'] as object;

/** All meshes at once: most of the time each pod waits for its kubelet. */
const eachMesh = (check: (mesh: OtherInjector) => Promise<void>) => Promise.all(INJECTOR_NAMES.map(check));

t.test('a mesh that is called after us exempts our port, and the pod gets Ready by HTTP', { skip }, async (t) => {
  await eachMesh(async (mesh) => {
    const pod = await injectedPod(t, mesh, 'after');
    t.equal(pod.metadata.annotations?.[MESHES[mesh].exemptPorts], PORTS[mesh], mesh);
    t.match(probeOf(pod), { httpGet: { path: mesh === 'kuma' ? '/15099/readyz' : '/readyz' } }, mesh);
    await isGuarded(t, pod);
    const report = JSON.parse(await askChecker(pod.metadata.namespace, pod.metadata.name, '/selfcheck'));
    t.match(report, { guarded: true }, mesh);
  });
});

t.test('a mesh that is called before us redirects our port, and the kubelet asks by exec', { skip }, async (t) => {
  await eachMesh(async (mesh) => {
    const pod = await injectedPod(t, mesh, 'before');
    t.equal(containerNames(pod)[0], CHECKER_CONTAINER, `${mesh}: before the containers of the mesh`);
    t.match(probeOf(pod), { exec: {} }, mesh);
    t.notOk('httpGet' in probeOf(pod), mesh);
    await isGuarded(t, pod);
    const asked = askChecker(pod.metadata.namespace, pod.metadata.name, '/readyz');
    await t.rejects(asked, `${mesh}: the rules do redirect its port`);
  });
});
