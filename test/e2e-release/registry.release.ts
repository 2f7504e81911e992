// The registry itself: who has its password gets an image, on nodes of both container runtimes, and nobody else does.
import t from 'tap';
import { apply, getJson } from '../harness/cluster/kubectl.ts';
import { barePod, getPod } from '../harness/cluster/pod-status.ts';
import { plainNamespace } from '../harness/cluster/test-workloads.ts';
import { openRelease } from '../harness/registry/published-release.ts';
import { addPullSecret, PULL_SECRET } from '../harness/registry/pull-secrets.ts';
import { runProgram, tryProgram } from '../harness/registry/registry-programs.ts';
import { openRegistry } from '../harness/registry/registry-server.ts';
import { eventually } from '../harness/wait-until.ts';

const registry = await openRegistry();
const release = await openRelease();

/** A pod of the image on one node, which stays. */
const podOn = (namespace: string, nodeName: string, image: string, more: object = {}) =>
  barePod(namespace, `on-${nodeName}`, {
    nodeName,
    containers: [
      { name: 'app', image, imagePullPolicy: 'Always', command: ['node', '-e', 'setInterval(() => {}, 1000)'] },
    ],
    ...more,
  });

t.test('without the password the registry gives nothing', async (t) => {
  const { exitCode, stderr } = await tryProgram(registry, 'crane', ['catalog', registry.address], {
    env: { DOCKER_CONFIG: '/nonexistent' },
  });
  t.not(exitCode, 0);
  t.match(stderr, /UNAUTHORIZED/);
});

t.test('each node pulls with a pull secret, and not without', async (t) => {
  const image = `${registry.address}/test/pulled:1`;
  await runProgram(registry, 'crane', ['copy', `${release.registry}/webhook:${release.version}`, image]);
  const { items } = await getJson<{ items: { metadata: { name: string } }[] }>('nodes');
  const nodes = items.map(({ metadata }) => metadata.name);
  t.equal(nodes.length, 2);
  const [without, having] = [await plainNamespace(t), await plainNamespace(t)];
  await addPullSecret(registry, having);
  const more = { imagePullSecrets: [{ name: PULL_SECRET }] };
  await apply(...nodes.flatMap((node) => [podOn(without, node, image), podOn(having, node, image, more)]));
  for (const node of nodes) {
    await eventually(`the pod on ${node} waits for its image`, async () => {
      const { status } = await getPod(without, `on-${node}`);
      const { reason = '', message = '' } = status.containerStatuses?.[0]?.state.waiting ?? {};
      return /^(ErrImagePull|ImagePullBackOff)$/.test(reason) && /401|authorization failed|no basic auth/.test(message);
    });
    const pod = await eventually(`the pod on ${node} runs`, async () => {
      const pod = await getPod(having, `on-${node}`);
      return pod.status.phase === 'Running' && pod;
    });
    t.match(pod.status.containerStatuses?.[0]?.imageID, /@sha256:|^sha256:/);
  }
});
