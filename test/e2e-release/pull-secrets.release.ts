// Installed by tag with kustomize from a registry with a password, by the commands of docs/install.md.
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { apply, kubectl } from '../harness/cluster/kubectl.ts';
import { askChecker, getPod, isInjected, type Pod, waitReady } from '../harness/cluster/pod-status.ts';
import { optedInNamespace } from '../harness/cluster/test-workloads.ts';
import { askInPod, install, uninstall } from '../harness/cluster/webhook-installation.ts';
import { openRelease } from '../harness/registry/published-release.ts';
import { addPullSecret, PULL_SECRET, pausePod, usePullSecret } from '../harness/registry/pull-secrets.ts';
import { runProgram } from '../harness/registry/registry-programs.ts';
import { openRegistry } from '../harness/registry/registry-server.ts';
import { eventually } from '../harness/wait-until.ts';

/** kustomize takes other folders by relative paths only. */
const OVERLAY = fileURLToPath(new URL('../../.run/e2e-pull-secrets', import.meta.url));
/** Names that nothing else in the suite has, so that no node has the images yet. */
const PLACE = 'kustomize';
const TAG = 'by-tag';
const registry = await openRegistry();
const release = await openRelease();

const kustomization = `apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../../manifests]
images:
${['webhook', 'init-image']
  .map(
    (name) =>
      `- {name: localhost/invalid-drop/${name}, newName: '${registry.address}/${PLACE}/${name}', newTag: ${TAG}}`,
  )
  .join('\n')}
`;

t.before(async () => {
  for (const name of ['webhook', 'init-image'])
    await runProgram(registry, 'crane', [
      'copy',
      `${release.registry}/${name}:${release.version}`,
      `${registry.address}/${PLACE}/${name}:${TAG}`,
    ]);
  await mkdir(OVERLAY, { recursive: true });
  await writeFile(`${OVERLAY}/kustomization.yaml`, kustomization);
  await kubectl(['apply', '-k', OVERLAY]);
  await usePullSecret(registry);
  await install(OVERLAY);
});
t.teardown(async () => {
  await uninstall(OVERLAY);
  await rm(OVERLAY, { recursive: true, force: true });
});

async function coverageOf(namespace: string) {
  const report = JSON.parse(await askInPod(`/coverage?namespace=${namespace}`));
  return report.notGuarded as { pod: string; reason: string }[];
}

const secretsOf = ({ spec }: Pod) => ((spec['imagePullSecrets'] ?? []) as { name: string }[]).map(({ name }) => name);

t.test(
  'without the Secret in its namespace a pod waits, and coverage says why; with it the pod is guarded',
  async (t) => {
    const namespace = await optedInNamespace(t);
    await apply(pausePod(namespace, 'waits'));
    const waiting = await eventually('the image is not pulled', async () => {
      const pod = await getPod(namespace, 'waits');
      const { reason = '' } = pod.status.initContainerStatuses?.[0]?.state.waiting ?? {};
      return /^(ErrImagePull|ImagePullBackOff)$/.test(reason) && pod;
    });
    t.ok(isInjected(waiting));
    t.strictSame(secretsOf(waiting), [PULL_SECRET]);
    const said = await eventually('coverage says so', async () => {
      const pods = await coverageOf(namespace);
      return pods.some(({ reason }) => reason === 'image-not-pulled') && pods;
    });
    t.match(said, [{ pod: 'waits', reason: 'image-not-pulled' }]);

    await addPullSecret(registry, namespace);
    await apply(pausePod(namespace, 'pulls'));
    const pod = await waitReady(namespace, 'pulls');
    t.equal(pod.spec.initContainers?.[0]?.image, `${registry.address}/${PLACE}/init-image:${TAG}`);
    // A node may report it under another name that the same image has there.
    const { digest } = release.images.find(({ name }) => name === 'init-image') ?? {};
    t.match(pod.status.initContainerStatuses?.[0]?.imageID, new RegExp(`@${digest}$`));
    t.match(JSON.parse(await askChecker(namespace, 'pulls', '/selfcheck')), { guarded: true });
    // The kubelet tries again by itself, after a while that grows.
    await waitReady(namespace, 'waits', 120_000);
    t.strictSame(await coverageOf(namespace), []);
  },
);

t.test("the pod's own pull secrets and those of its ServiceAccount stay", async (t) => {
  const namespace = await optedInNamespace(t);
  await addPullSecret(registry, namespace);
  const patch = JSON.stringify({ imagePullSecrets: [{ name: 'of-the-account' }] });
  await kubectl(['patch', 'serviceaccount', '-n', namespace, 'default', '-p', patch]);
  const own = { imagePullSecrets: [{ name: 'of-the-pod' }] };
  await apply(pausePod(namespace, 'account'), pausePod(namespace, 'own', own));
  t.strictSame(secretsOf(await getPod(namespace, 'account')), ['of-the-account', PULL_SECRET]);
  t.strictSame(secretsOf(await getPod(namespace, 'own')), ['of-the-pod', PULL_SECRET]);
});

t.test('a pod that gets no container of ours gets no pull secret', async (t) => {
  const namespace = await optedInNamespace(t);
  await apply(pausePod(namespace, 'out', {}, { annotations: { 'invalid-drop.io/inject': 'disabled' } }));
  t.strictSame(secretsOf(await getPod(namespace, 'out')), []);
});
