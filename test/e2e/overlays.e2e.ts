// An API server that knows the resources accepts each overlay as a whole, and each does what it is for. Runs after
// permissions.e2e.ts (see run-e2e.ts).
import t from 'tap';
import { OPT_IN_LABEL, OWN_NAMESPACE } from '../../lib/contract.ts';
import { hasGo } from '../../tools/cluster/build-program.ts';
import { type KeyPair, makeCa, makeServing } from '../../webhook/certificates/make-certificates.ts';
import { applyCrds } from '../harness/cluster/crds.ts';
import { apply, kubectl, tryKubectl } from '../harness/cluster/kubectl.ts';
import { barePod, getPod, isInjected } from '../harness/cluster/pod-status.ts';
import { optedInNamespace } from '../harness/cluster/test-workloads.ts';
import {
  askWebhook,
  install,
  MANIFESTS,
  patchConfiguration,
  rolledOut,
} from '../harness/cluster/webhook-installation.ts';
import { eventually } from '../harness/wait-until.ts';

const DAY = 86_400_000;
const OVERLAYS = ['cert-manager', 'fail-closed', 'monitoring', 'node'];
const skip = (await hasGo()) ? false : 'Go is missing: the custom resource definitions come from Go modules';

t.before(() => install());
t.after(() => install());

t.test('every overlay is accepted whole', { skip }, async (t) => {
  const remove = await applyCrds();
  t.teardown(remove);
  for (const overlay of OVERLAYS) {
    const args = ['apply', '-k', `${MANIFESTS}/overlays/${overlay}`, '--dry-run=server'];
    const { exitCode, stderr } = await tryKubectl(args, { limit: 60_000 });
    t.equal(exitCode, 0, `${overlay}: ${stderr}`);
  }
});

t.test('fail-closed: while no replica answers, no pod of an opted-in namespace is created', async (t) => {
  t.teardown(() => install());
  const namespace = await optedInNamespace(t);
  await kubectl(['apply', '-k', `${MANIFESTS}/overlays/fail-closed`]);
  const deployment = ['deployment/invalid-drop-webhook', '-n', OWN_NAMESPACE];
  await kubectl(['scale', ...deployment, '--replicas=0']);
  await kubectl(
    ['wait', 'pod', '-n', OWN_NAMESPACE, '-l', 'app.kubernetes.io/component=webhook', '--for=delete', '--timeout=90s'],
    {
      limit: 100_000,
    },
  );
  const refused = await eventually('a pod is refused', async () => {
    const pod = barePod(namespace, 'refused');
    const result = await tryKubectl(['create', '-f', '-'], { input: JSON.stringify(pod) });
    if (result.exitCode === 0) await kubectl(['delete', 'pod', 'refused', '-n', namespace, '--now']);
    return result.exitCode !== 0 && result.stderr;
  });
  t.match(refused, /pods\.invalid-drop\.io/);
  await kubectl(['scale', ...deployment, '--replicas=3']);
  await kubectl(['rollout', 'status', ...deployment, '--timeout=120s'], { limit: 130_000 });
  // kube-proxy routes to the replicas a moment after they are Ready.
  await eventually('a pod is created', async () => await apply(barePod(namespace, 'created')));
  t.ok(isInjected(await getPod(namespace, 'created')));
});

/** Acts as cert-manager: writes its form of the Secret, and the CA into the webhook configuration. */
async function issue(authority: KeyPair): Promise<KeyPair> {
  const pair = await makeServing(authority, new Date(), 30 * DAY);
  await apply({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'invalid-drop-webhook-cert', namespace: OWN_NAMESPACE },
    type: 'kubernetes.io/tls',
    stringData: { 'tls.crt': pair.cert, 'tls.key': pair.key, 'ca.crt': authority.cert },
  });
  return pair;
}

t.test(
  'cert-manager: the certificate is read from the mounted Secret, and read again when it is renewed',
  { skip },
  async (t) => {
    const remove = await applyCrds();
    t.teardown(async () => {
      await install();
      await kubectl(['delete', 'secret', 'invalid-drop-webhook-cert', '-n', OWN_NAMESPACE]);
      await remove();
    });
    const authority = await makeCa(new Date(), 300 * DAY);
    await issue(authority);
    await kubectl(['apply', '-k', `${MANIFESTS}/overlays/cert-manager`]);
    // The old replicas put their own bundle back until they end. cert-manager writes again, and so does this.
    const caBundle = Buffer.from(authority.cert).toString('base64');
    const inject = () =>
      patchConfiguration([{ op: 'add', path: '/webhooks/0/clientConfig/caBundle', value: caBundle }]);
    let over = false;
    const injecting = (async () => {
      while (!over) {
        await inject();
        await new Promise((resolve) => setTimeout(resolve, 500));
      }
    })();
    try {
      await rolledOut();
    } finally {
      over = true;
      await injecting;
    }
    const checks = async () =>
      JSON.parse(await askWebhook('/selfcheck')) as {
        ok: boolean;
        checks: { name: string; detail: string; ok: boolean }[];
      };
    t.strictSame(
      (await checks()).checks.filter(({ ok }) => !ok),
      [],
    );
    const namespace = await optedInNamespace(t, {});
    await apply(barePod(namespace, 'guarded'));
    t.ok(isInjected(await getPod(namespace, 'guarded')), OPT_IN_LABEL);

    const before = await askWebhook('/metrics');
    const issued = (metrics: string) => metrics.match(/certificate_issued_timestamp_seconds (\d+)/)?.[1];
    await issue(authority);
    // The kubelet brings a changed Secret into a running pod within its sync period, a minute by default.
    await eventually(
      'the new certificate is served',
      async () => issued(await askWebhook('/metrics')) !== issued(before),
      150_000,
    );
    // The kubelets of the replicas do so at different times: until then the replicas differ, and the self-check says
    // so.
    await eventually('all checks are ok again', async () => (await checks()).ok, 150_000);
  },
);
