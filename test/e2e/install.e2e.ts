// From nothing to a guarded pod, by the commands of the README.
import t from 'tap';
import { CHECKER_CONTAINER, OPT_IN_LABEL, OWN_NAMESPACE } from '../../lib/contract.ts';
import { apply, getJson, kubectl } from '../harness/cluster/kubectl.ts';
import {
  askChecker,
  barePod,
  containerNames,
  getPods,
  isInjected,
  isReady,
  type Pod,
  podSpec,
  waitReady,
} from '../harness/cluster/pod-status.ts';
import { plainNamespace } from '../harness/cluster/test-workloads.ts';
import { askWebhook, install } from '../harness/cluster/webhook-installation.ts';
import { eventually } from '../harness/wait-until.ts';

t.before(() => install());

t.test('two replicas of the webhook run from our image, and every self-check is ok', async (t) => {
  const pods = await getPods(OWN_NAMESPACE);
  t.equal(pods.filter(isReady).length, 2);
  for (const { spec } of pods) t.match(spec.containers[0]?.image, /invalid-drop\/webhook:/);
  const report = JSON.parse(await askWebhook('/selfcheck')) as { ok: boolean; checks: { name: string; ok: boolean }[] };
  t.strictSame(
    report.checks.filter(({ ok }) => !ok),
    [],
  );
  t.equal(report.checks.length, 7);
  const replica = pods[0]?.metadata.name ?? '';
  const printed = await kubectl([
    'exec',
    '-n',
    OWN_NAMESPACE,
    replica,
    '--',
    'node',
    '/opt/invalid-drop/webhook.js',
    'selfcheck',
  ]);
  t.match(printed, /^ok +canary/m);
});

t.test(
  "a labelled namespace: a Deployment's pod gets our container, is Ready by the kubelet's probe, and guarded",
  async (t) => {
    const namespace = await plainNamespace(t);
    await kubectl(['label', 'namespace', namespace, `${OPT_IN_LABEL}=enabled`]);
    const labels = { app: 'store' };
    await apply({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'store', namespace },
      spec: { replicas: 1, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: podSpec() } },
    });
    const pod = await eventually('its pod is Ready', async () => (await getPods(namespace)).find(isReady));
    t.ok(isInjected(pod));
    t.same(containerNames(pod), [CHECKER_CONTAINER, 'app']);
    const [checker] = pod.spec.initContainers ?? [];
    t.match(checker, { name: CHECKER_CONTAINER, restartPolicy: 'Always', image: /invalid-drop\/init-image:/ });

    const report = JSON.parse(await askChecker(namespace, pod.metadata.name, '/selfcheck'));
    t.match(report, {
      guarded: true,
      families: { ipv4: { external: { mustDrop: { holds: 'yes', rules: [{ owner: 'invalid-drop' }] } } } },
    });
    const metrics = await askChecker(namespace, pod.metadata.name, '/metrics');
    t.match(metrics, 'invalid_drop_guarded{family="ipv4",interface="external"} 1');
  },
);

t.test('a namespace without the label: nothing is added', async (t) => {
  const namespace = await plainNamespace(t);
  await apply(barePod(namespace, 'plain'));
  const pod = await waitReady(namespace, 'plain');
  t.notOk(isInjected(pod));
});

t.test('coverage counts what is guarded', async (t) => {
  const namespace = await plainNamespace(t, { [OPT_IN_LABEL]: 'enabled' });
  await apply(
    barePod(namespace, 'guarded'),
    barePod(namespace, 'left', {}, { labels: { [OPT_IN_LABEL]: 'disabled' } }),
  );
  await waitReady(namespace, 'guarded');
  const coverage = await eventually('both are known', async () => {
    const report = JSON.parse(await askWebhook(`/coverage?namespace=${namespace}`));
    return report.total === 2 && report;
  });
  t.match(coverage, { reasons: { guarded: 1, 'opted-out': 1 } });
});

t.test('pods of the own namespace and of kube-system are left alone, whatever the label', async (t) => {
  await kubectl(['label', 'namespace', OWN_NAMESPACE, 'kube-system', `${OPT_IN_LABEL}=enabled`]);
  t.teardown(() => kubectl(['label', 'namespace', OWN_NAMESPACE, 'kube-system', `${OPT_IN_LABEL}-`]));
  await kubectl(['rollout', 'restart', 'deployment/invalid-drop-webhook', '-n', OWN_NAMESPACE]);
  await kubectl(['rollout', 'status', 'deployment/invalid-drop-webhook', '-n', OWN_NAMESPACE, '--timeout=120s'], {
    limit: 130_000,
  });
  const { items } = await getJson<{ items: Pod[] }>('pods', '-n', OWN_NAMESPACE);
  for (const pod of items) t.notOk(isInjected(pod), pod.metadata.name);
  await apply(barePod('kube-system', 'e2e-left-alone'));
  t.teardown(() => kubectl(['delete', 'pod', 'e2e-left-alone', '-n', 'kube-system', '--wait=false']));
  const pod = await waitReady('kube-system', 'e2e-left-alone');
  t.notOk(isInjected(pod));
});
