// Pods that the webhook of the version before has made, in a cluster that was upgraded.
import t from 'tap';
import { CHECKER_CONTAINER, VERSION } from '../../lib/contract.ts';
import { apply, create, kubectl } from '../harness/cluster/kubectl.ts';
import { node, podRuleset, skipWithoutNode } from '../harness/cluster/node-side.ts';
import { barePod, containerNames, type Pod, restartsIn, waitReady } from '../harness/cluster/pod-status.ts';
import { optedInNamespace } from '../harness/cluster/test-workloads.ts';
import { podOfVersionBefore } from '../harness/cluster/version-before.ts';
import { askWebhook, install } from '../harness/cluster/webhook-installation.ts';
import { must } from '../harness/netns/processes.ts';
import { eventually } from '../harness/wait-until.ts';

const REPOSITORY = process.env['REGISTRY'] || 'localhost/invalid-drop';
const IMAGE = `${REPOSITORY}/init-image:${VERSION}`;
const OLDER = `${REPOSITORY}/init-image:0.0.9`;
const PAIR = ['invalid-drop-init', CHECKER_CONTAINER, 'app'];

t.before(async () => {
  await install();
  // The node has the image that is asked for under the older tag, too: only the tag is looked at.
  if (!skipWithoutNode) {
    const ctr = ['--address', node().containerd, '--namespace', 'k8s.io', 'images', 'tag', '--force'];
    await must('ctr', [...ctr, IMAGE, OLDER]);
  }
});

async function coverageReasons(namespace: string): Promise<Record<string, number>> {
  return JSON.parse(await askWebhook(`/coverage?namespace=${namespace}`)).reasons;
}

const covered = (namespace: string, reasons: object) =>
  eventually(`coverage of ${namespace} is ${JSON.stringify(reasons)}`, async () => {
    const now = JSON.stringify(await coverageReasons(namespace));
    if (now !== JSON.stringify(reasons)) throw new Error(now);
    return true;
  });

t.test('a pod with both containers is stored as it is, runs, and counts as guarded', async (t) => {
  const namespace = await optedInNamespace(t);
  const [stored] = await create<Pod>(podOfVersionBefore(namespace, 'store', IMAGE));
  t.same(stored && containerNames(stored), PAIR);
  t.equal(stored?.metadata.annotations?.['invalid-drop.io/status'], undefined, 'nothing was added');
  t.equal(restartsIn(await waitReady(namespace, 'store')), 0);
  if (!skipWithoutNode) t.match(await podRuleset(namespace, 'store'), /ct state invalid.* drop/);
  await covered(namespace, { guarded: 1 });
});

t.test(
  'a pod from before an upgrade counts as guarded, and is rolled to one container',
  { skip: skipWithoutNode },
  async (t) => {
    const namespace = await optedInNamespace(t);
    // At its creation the webhook was the older one: it is as if ours had not been asked.
    const pod = podOfVersionBefore(namespace, 'store', OLDER);
    await kubectl(['label', 'namespace', namespace, 'invalid-drop.io/inject=disabled', '--overwrite']);
    await apply(pod);
    await kubectl(['label', 'namespace', namespace, 'invalid-drop.io/inject=enabled', '--overwrite']);
    t.same(containerNames(await waitReady(namespace, 'store')), PAIR);
    await covered(namespace, { 'guarded-by-older-version': 1 });

    await kubectl(['delete', 'pod', 'store', '-n', namespace]);
    await apply(barePod(namespace, 'store'));
    t.same(containerNames(await waitReady(namespace, 'store')), [CHECKER_CONTAINER, 'app']);
    t.match(await podRuleset(namespace, 'store'), /ct state invalid.* drop/);
    await covered(namespace, { guarded: 1 });
  },
);
