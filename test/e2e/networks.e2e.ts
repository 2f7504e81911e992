// The CNI plugin `tuning` makes the conntrack of each new pod liberal, without anything of ours: what that does to stray segments,
// and what our programs say of such pods.
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { LIBERAL_SYSCTL } from '../../lib/pod/liberal-sysctl.ts';
import { tuneNewPods } from '../../tools/cluster/cni-tuning.ts';
import { reconfigureKubeProxy } from '../../tools/cluster/kube-proxy.ts';
import { runCli } from '../harness/cluster/cli-run.ts';
import { apply, kubectl } from '../harness/cluster/kubectl.ts';
import { inPod, node, PodPrograms, skipWithoutNode } from '../harness/cluster/node-side.ts';
import { barePod, getPod, podSpec, waitReady } from '../harness/cluster/pod-status.ts';
import { redirectedPod, uploadFrom } from '../harness/cluster/redirected-pod.ts';
import { plainNamespace } from '../harness/cluster/test-workloads.ts';
import { askWebhook, install } from '../harness/cluster/webhook-installation.ts';
import { fateOfChanged, NEAR_OVER, talkTo } from '../harness/netns/kept-client.ts';
import { isAtLeast } from '../harness/netns/kernel-requirements.ts';
import { patient } from '../harness/netns/processes.ts';
import type { ConnectionFate } from '../harness/netns/stray-kinds.ts';
import { countStrays, startStrays, stopStrays, withSoftwareChecksums } from '../harness/netns/stray-segments.ts';
import { eventually } from '../harness/wait-until.ts';

const skip = skipWithoutNode;
const LIBERAL = { [LIBERAL_SYSCTL]: '1' };
const EVERY = 50;
const BYTES = 30_000_000;
const UPLOADS = 3;

const isLiberal = async (namespace: string, pod: string) =>
  (await inPod(namespace, pod, 'cat', `/proc/sys/${LIBERAL_SYSCTL.replaceAll('.', '/')}`)).trim();

t.before(() => install());

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
    await stopStrays(sender);
  }
}

const KEEP = fileURLToPath(new URL('../harness/traffic/kept-connection.ts', import.meta.url));
const STUCK = patient(4000);
/** be_liberal of the node, the pod that receives, and what becomes of the connection on Linux 6.1 and later. */
const NEAR_CASES: [beLiberal: boolean, receiver: 'before' | 'tuned', fate: ConnectionFate][] = [
  [false, 'before', 'stuck'],
  [false, 'tuned', 'stuck'],
  [true, 'tuned', 'fine'],
];

/** One small request, then one with a segment that is a little astray. */
async function fateOfNear(namespace: string, receiver: string) {
  const sender = new PodPrograms(namespace, 'sender');
  const client = await sender.start(process.execPath, [KEEP, (await getPod(namespace, receiver)).status.podIP ?? '']);
  try {
    return await fateOfChanged(sender, talkTo(client), NEAR_OVER, STUCK);
  } finally {
    await client.stop();
  }
}

t.test('pods of a network with the plugin tuning are not reset, without a container of ours', { skip }, async (t) => {
  t.teardown(() => tuneNewPods(node(), {}));
  t.teardown(() => reconfigureKubeProxy(node(), { kubeProxyMode: 'nftables', beLiberal: false }));
  const namespace = await plainNamespace(t);
  await apply(barePod(namespace, 'sender'));
  await redirectedPod(namespace, 'before');
  await waitReady(namespace, 'sender');
  t.equal(await isLiberal(namespace, 'before'), '0', 'a network namespace starts with 0');
  const before = await failedUploads(namespace, 'before');
  t.equal(before.failed.length, UPLOADS, 'without tuning each upload is reset');
  for (const error of before.failed) t.match(error, /ECONNRESET|EPIPE/);

  await tuneNewPods(node(), LIBERAL);
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

  const explained = await runCli(['explain', 'tuned', '-n', namespace, '--seconds=1', '-o', 'json']);
  t.equal(explained.exitCode, 2, explained.stderr);
  t.match(JSON.parse(explained.stdout), {
    code: 'nothing-happened',
    why: /this pod is protected from them also without the rule\.$/,
    after: { tcpBeLiberal: 1 },
  });

  await t.test('a rule of the node hangs connections to them too, unless the node is liberal as well', async (t) => {
    await withSoftwareChecksums(new PodPrograms(namespace, 'sender'));
    t.equal(await fateOfNear(namespace, 'before'), 'reset', 'no rule on the node');
    for (const [beLiberal, receiver, fate] of NEAR_CASES) {
      await reconfigureKubeProxy(node(), { kubeProxyMode: 'iptables', beLiberal });
      const seen = await fateOfNear(namespace, receiver);
      const where = `kube-proxy iptables${beLiberal ? ', node liberal' : ''}, pod ${receiver}`;
      t.equal(seen, isAtLeast(6, 1) ? fate : 'fine', where);
      t.comment(`near\t${where}\t${seen}`);
    }
  });
});

t.test('coverage counts a pod that sets the sysctl itself as guarded, and says by what', async (t) => {
  const namespace = await plainNamespace(t);
  // Made before the label, so that the webhook left both alone.
  await apply(barePod(namespace, 'liberal', { securityContext: { sysctls: [{ name: LIBERAL_SYSCTL, value: '1' }] } }));
  await apply(barePod(namespace, 'other'));
  for (const name of ['liberal', 'other']) await waitReady(namespace, name);
  if (!skip) t.equal(await isLiberal(namespace, 'liberal'), '1', 'the kubelet has set it');
  await kubectl(['label', 'namespace', namespace, 'invalid-drop.io/inject=enabled']);
  const report = await eventually('coverage knows both', async () => {
    const found = JSON.parse(await askWebhook(`/coverage?namespace=${namespace}`));
    return found.total === 2 && found;
  });
  t.match(report, { guarded: 1, reasons: { 'liberal-conntrack': 1, 'created-before-opt-in': 1 } });
});

t.test('preflight finds tuning in the ConfigMap of the network', async (t) => {
  const namespace = await plainNamespace(t, { 'istio-injection': 'enabled' });
  const plugins = [{ type: 'flannel' }, { type: 'tuning', sysctl: LIBERAL }];
  const metadata = { name: 'kube-flannel-cfg', namespace };
  const labels = { app: 'flannel' };
  await apply(
    { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { 'cni-conf.json': JSON.stringify({ plugins }) } },
    {
      apiVersion: 'apps/v1',
      kind: 'DaemonSet',
      metadata: { name: 'kube-flannel-ds', namespace },
      // It has no pods: the cluster has another network.
      spec: {
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: podSpec({ nodeSelector: { none: 'has-it' } }) },
      },
    },
  );
  const { stdout, stderr } = await runCli(['preflight', '-n', namespace, '-o', 'json']);
  t.match(JSON.parse(stdout || `{"error": ${JSON.stringify(stderr)}}`), {
    exposure: 'protected',
    findings: [
      { code: 'pods-protected', means: new RegExp(`ConfigMap ${namespace}/kube-flannel-cfg, cni-conf\\.json`) },
    ],
  });
});
