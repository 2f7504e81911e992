// The CNI plugin `tuning` makes the conntrack of each new pod liberal, without anything of ours: what that does to stray segments,
// and what our programs say of such pods.
import t from 'tap';
import { tuneNewPods } from '../../tools/cluster/cni-tuning.ts';
import { apply } from '../harness/cluster/kubectl.ts';
import { inPod, node, PodPrograms, skipWithoutNode } from '../harness/cluster/node-side.ts';
import { barePod, getPod, waitReady } from '../harness/cluster/pod-status.ts';
import { redirectedPod, uploadFrom } from '../harness/cluster/redirected-pod.ts';
import { plainNamespace } from '../harness/cluster/test-workloads.ts';
import { countStrays, startStrays } from '../harness/netns/stray-segments.ts';

const skip = skipWithoutNode;
const LIBERAL = 'net.netfilter.nf_conntrack_tcp_be_liberal';
const EVERY = 50;
const BYTES = 30_000_000;
const UPLOADS = 3;

const isLiberal = async (namespace: string, pod: string) =>
  (await inPod(namespace, pod, 'cat', `/proc/sys/${LIBERAL.replaceAll('.', '/')}`)).trim();

/** Uploads from a pod of its own, with stray segments. @returns how many failed */
async function failedUploads(namespace: string, receiver: string): Promise<{ failed: string[]; strays: number }> {
  const sender = new PodPrograms(namespace, 'sender');
  const { podIP = '' } = (await getPod(namespace, receiver)).status;
  await startStrays(sender, EVERY);
  try {
    const uploads = await uploadFrom(sender, podIP, BYTES, UPLOADS);
    const failed = uploads.flatMap(({ ok, error }) => (ok ? [] : [error ?? '']));
    return { failed, strays: await countStrays(sender) };
  } finally {
    await sender.must('nft', ['delete', 'table', 'inet', 'stray']);
  }
}

t.test('pods of a network with the plugin tuning are not reset, without a container of ours', { skip }, async (t) => {
  t.teardown(() => tuneNewPods(node(), {}));
  const namespace = await plainNamespace(t);
  await apply(barePod(namespace, 'sender'));
  await redirectedPod(namespace, 'before');
  await waitReady(namespace, 'sender');
  t.equal(await isLiberal(namespace, 'before'), '0', 'a network namespace starts with 0');
  const before = await failedUploads(namespace, 'before');
  t.equal(before.failed.length, UPLOADS, 'without tuning each upload is reset');
  for (const error of before.failed) t.match(error, /ECONNRESET|EPIPE/);

  await tuneNewPods(node(), { [LIBERAL]: '1' });
  const pod = await redirectedPod(namespace, 'tuned');
  t.equal(await isLiberal(namespace, 'tuned'), '1', 'the plugin has set it');
  t.same(
    pod.spec.containers.map(({ name }) => name),
    ['app', 'proxy'],
    'no container of ours',
  );
  const tuned = await failedUploads(namespace, 'tuned');
  t.ok(tuned.strays > UPLOADS, `${tuned.strays} stray segments`);
  t.same(tuned.failed, [], 'with tuning none is');
  t.equal(await isLiberal(namespace, 'before'), '0', 'a pod that ran before is left as it was');
  t.comment(
    `tuning\tbefore: ${before.failed.length} of ${UPLOADS} reset\ttuned: ${tuned.failed.length}, ${tuned.strays} stray segments`,
  );
});
