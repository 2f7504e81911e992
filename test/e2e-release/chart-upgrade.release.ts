// The chart's whole life on a cluster: install, test, upgrade, rollback, uninstall, with pods created all the while.
import t from 'tap';
import { CHECKER_CONTAINER, OWN_NAMESPACE } from '../../lib/contract.ts';
import { phaseTable, startLoad } from '../harness/cluster/creation-load.ts';
import { apply, getJson, kubectl, tryKubectl } from '../harness/cluster/kubectl.ts';
import { askChecker, barePod, getPod, getPods, isInjected, isReady, waitReady } from '../harness/cluster/pod-status.ts';
import { optedInNamespace } from '../harness/cluster/test-workloads.ts';
import {
  admissionsArrive,
  install,
  patchConfiguration,
  rolledOut,
  uninstall,
} from '../harness/cluster/webhook-installation.ts';
import { CHART, helm, RELEASE, setValues, tryHelm } from '../harness/helm/helm-program.ts';
import { eventually } from '../harness/wait-until.ts';

/** `helm uninstall` leaves the namespace, and in it the Secret that the replicas made. */
async function removeAll(): Promise<void> {
  await tryHelm('uninstall', RELEASE, '--wait', '--timeout=120s', '--ignore-not-found');
  await kubectl(['delete', 'namespace', OWN_NAMESPACE, '--ignore-not-found', '--timeout=90s'], { limit: 100_000 });
}

// The tests before it may have installed with kubectl, whose objects helm does not take.
t.before(() => uninstall());
t.after(() => removeAll());

interface Configuration {
  webhooks: { clientConfig: { caBundle?: string }; failurePolicy: string }[];
}

const getWebhook = async () => {
  const { webhooks } = await getJson<Configuration & { metadata: object; kind: string; apiVersion: string }>(
    'mutatingwebhookconfiguration',
    'invalid-drop-injector',
  );
  return webhooks[0];
};

const WAIT = ['--wait', '--timeout=150s'];
const upgrade = (values: object, ...more: string[]) =>
  helm('upgrade', RELEASE, CHART, ...WAIT, '--reset-values', ...setValues(values), ...more);

t.test('an installation from the folder, and helm test', async (t) => {
  await helm('install', RELEASE, CHART, '--create-namespace', ...WAIT);
  await admissionsArrive();
  const printed = await helm('test', RELEASE, '--logs', '--timeout=60s');
  t.match(printed, /Phase: +Succeeded/);
  t.match(printed, /true │ 'canary'/);
  const namespace = await optedInNamespace(t);
  await apply(barePod(namespace, 'guarded'));
  t.ok(isInjected(await waitReady(namespace, 'guarded')));
});

const setOperations = (value: string[]) =>
  patchConfiguration([{ op: 'replace', path: '/webhooks/0/rules/0/operations', value }]);

t.test('helm test fails where the installation does not work', async (t) => {
  await setOperations(['UPDATE']);
  // As it was: helm does not write over what others have changed.
  t.teardown(() => setOperations(['CREATE']));
  const { exitCode, stdout, stderr } = await tryHelm('test', RELEASE, '--logs', '--timeout=60s');
  t.not(exitCode, 0);
  t.match(stdout + stderr, /false │ 'webhook-configuration'/);
  // A test that failed leaves its pod, to look at.
  await kubectl(['delete', 'pod', 'invalid-drop-selfcheck', '-n', OWN_NAMESPACE]);
});

t.test('no admission is missed or refused by an upgrade and a rollback, and the caBundle stays', async (t) => {
  await upgrade({ failurePolicy: 'Fail', 'webhook.replicas': 2 });
  await admissionsArrive();
  const { caBundle } = (await getWebhook())?.clientConfig ?? {};
  t.match(caBundle, /^[A-Za-z0-9+/]+=*$/);
  const namespace = await optedInNamespace(t);
  const load = startLoad(namespace);
  t.teardown(() => load.stop());
  const checks: (() => void)[] = [];
  const values = { failurePolicy: 'Fail', 'webhook.replicas': 2 };
  const changed = { ...values, 'options.logLevel': 'debug', 'webhook.podLabels': { team: 'network' } };
  for (const [name, change] of [
    ['upgrade: other options and labels', () => upgrade(changed)],
    ['upgrade: the same values', () => upgrade(changed)],
    [
      'upgrade: three-way merge, as Helm 3 does',
      () => upgrade({ ...changed, 'options.logLevel': 'warn' }, '--server-side=false'),
    ],
    ['rollback', () => helm('rollback', RELEASE, '2', ...WAIT)],
  ] as const) {
    const phase = load.begin(name);
    await change();
    await rolledOut();
    await eventually(`creations in "${name}"`, () => phase.created > 20);
    const webhook = await getWebhook();
    checks.push(() => {
      t.strictSame([phase.failed, phase.missed], [0, 0], `${name}: ${phase.example}`);
      t.equal(webhook?.clientConfig.caBundle, caBundle, `${name}: the caBundle is the same`);
      t.equal(webhook?.failurePolicy, 'Fail', name);
    });
  }
  await load.stop();
  for (const line of phaseTable(load.phases)) t.comment(line);
  for (const check of checks) check();
  const [pod] = await getPods(OWN_NAMESPACE);
  t.notMatch(pod?.metadata, { labels: { team: 'network' } }, 'the rollback was one');
});

t.test('node agents are refused in a namespace with Pod Security, before anything changes', async (t) => {
  const label = 'pod-security.kubernetes.io/enforce';
  await kubectl(['label', 'namespace', OWN_NAMESPACE, `${label}=restricted`]);
  const { exitCode, stderr } = await tryHelm('upgrade', RELEASE, CHART, ...setValues({ 'nodeAgent.enabled': true }));
  t.not(exitCode, 0);
  t.match(stderr, `kubectl label --overwrite namespace invalid-drop-system ${label}=privileged`);
  await kubectl(['label', '--overwrite', 'namespace', OWN_NAMESPACE, `${label}=privileged`]);
  await upgrade({ 'nodeAgent.enabled': true });
  const agents = (await getPods(OWN_NAMESPACE)).filter(({ spec }) => spec.containers[0]?.name === 'node-agent');
  t.ok(agents.length > 0);
  for (const agent of agents) t.ok(isReady(agent), agent.metadata.name);
});

t.test('after helm uninstall guarded pods stay guarded, and what it leaves is known', async (t) => {
  const namespace = await optedInNamespace(t);
  await admissionsArrive();
  await apply(barePod(namespace, 'guarded'));
  const before = await waitReady(namespace, 'guarded');
  await helm('uninstall', RELEASE, ...WAIT);
  await apply(barePod(namespace, 'after'));
  t.notOk(isInjected(await waitReady(namespace, 'after')));
  const pod = await getPod(namespace, 'guarded');
  t.equal(pod.metadata.uid, before.metadata.uid);
  t.ok(isReady(pod));
  t.match(JSON.parse(await askChecker(namespace, 'guarded', '/selfcheck')), { guarded: true }, CHECKER_CONTAINER);

  // The pods of the replicas still take their time to leave.
  const kinds = 'all,secrets,configmaps,roles,rolebindings,pdb,networkpolicies,resourcequotas,serviceaccounts';
  await eventually('only the Secret that the replicas made is left', async () => {
    const left = await kubectl(['get', kinds, '-A', '-o', 'name', '-l', 'app.kubernetes.io/name=invalid-drop']);
    return left.trim() === 'secret/invalid-drop-webhook-tls';
  });
  const clusterKinds = [
    'clusterroles,clusterrolebindings,mutatingwebhookconfigurations',
    'validatingadmissionpolicies,validatingadmissionpolicybindings',
  ].join(',');
  t.equal(await kubectl(['get', clusterKinds, '-o', 'name', '-l', 'app.kubernetes.io/name=invalid-drop']), '');
  await removeAll();
  t.match((await tryKubectl(['get', 'namespace', OWN_NAMESPACE])).stderr, 'NotFound');
});

t.test('helm takes over an installation by kubectl, and no admission is missed', async (t) => {
  await install();
  const namespace = await optedInNamespace(t);
  const load = startLoad(namespace);
  t.teardown(() => load.stop());
  const phase = load.begin('helm install --take-ownership');
  const { exitCode } = await tryHelm('install', RELEASE, CHART, ...WAIT);
  t.not(exitCode, 0, 'not without being told');
  await helm('install', RELEASE, CHART, ...WAIT, '--take-ownership', '--force-conflicts');
  await helm('upgrade', RELEASE, CHART, ...WAIT, ...setValues({ 'options.logLevel': 'debug' }));
  await rolledOut();
  await load.stop();
  t.strictSame([phase.failed, phase.missed], [0, 0], phase.example);
  t.ok(phase.created > 20);
  t.match(await helm('test', RELEASE, '--timeout=60s'), /Phase: +Succeeded/);
});
