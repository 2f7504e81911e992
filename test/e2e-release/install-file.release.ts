// install.yaml of the release: applied, it installs the images by their digests; deleted, it leaves nothing.
import t from 'tap';
import { OWN_NAMESPACE } from '../../lib/contract.ts';
import { apply, getJson, kubectl } from '../harness/cluster/kubectl.ts';
import { askChecker, getPods, waitReady } from '../harness/cluster/pod-status.ts';
import { optedInNamespace } from '../harness/cluster/test-workloads.ts';
import { admissionsArrive } from '../harness/cluster/webhook-installation.ts';
import { openRelease, RELEASE_FOLDER } from '../harness/registry/published-release.ts';
import { addPullSecret, pausePod, usePullSecret } from '../harness/registry/pull-secrets.ts';
import { openRegistry } from '../harness/registry/registry-server.ts';

const FILE = `${RELEASE_FOLDER}/install.yaml`;
const registry = await openRegistry();
const release = await openRelease();
const remove = () => kubectl(['delete', '-f', FILE, '--ignore-not-found', '--timeout=90s'], { limit: 100_000 });

t.teardown(remove);

t.test('kubectl apply -f install.yaml', async (t) => {
  await kubectl(['apply', '-f', FILE]);
  await usePullSecret(registry);
  await admissionsArrive();
  const namespace = await optedInNamespace(t);
  await addPullSecret(registry, namespace);
  await apply(pausePod(namespace, 'guarded'));
  const pod = await waitReady(namespace, 'guarded');
  t.match(JSON.parse(await askChecker(namespace, 'guarded', '/selfcheck')), { guarded: true });
  const byDigest = (name: string) => {
    const digest = release.images.find((image) => image.name === name)?.digest;
    return `${release.registry}/${name}@${digest}`;
  };
  t.equal(pod.spec.initContainers?.[0]?.image, byDigest('init-image'));
  for (const { spec } of await getPods(OWN_NAMESPACE)) t.equal(spec.containers[0]?.image, byDigest('webhook'));
});

t.test('kubectl delete -f install.yaml leaves nothing', async (t) => {
  await remove();
  const kinds = 'namespaces,mutatingwebhookconfigurations,clusterroles,clusterrolebindings';
  const { items } = await getJson<{ items: { kind: string; metadata: { name: string } }[] }>(kinds);
  const left = items
    .map(({ kind, metadata }) => `${kind}/${metadata.name}`)
    .filter((name) => name.includes('invalid-drop'));
  t.strictSame(left, []);
});
