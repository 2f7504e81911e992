// Namespaces that restrict their pods: Pod Security, ResourceQuota, LimitRange.
import t, { type Test } from 'tap';
import { apply, create, kubectl, tryKubectl } from '../harness/cluster/kubectl.ts';
import {
  appContainer,
  barePod,
  containerNames,
  getPods,
  isInjected,
  type Pod,
  podSpec,
  waitReady,
} from '../harness/cluster/pod-status.ts';
import { optedInNamespace } from '../harness/cluster/test-workloads.ts';
import { askInPod, configure, install } from '../harness/cluster/webhook-installation.ts';
import { eventually } from '../harness/wait-until.ts';

const RESOURCES = { requests: { cpu: '10m', memory: '64Mi' }, limits: { cpu: '100m', memory: '128Mi' } };
const SIZED = { containers: [{ ...appContainer(), resources: RESOURCES }] };
/** What Pod Security restricted demands of every container. */
const RESTRICTED = {
  securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: 'RuntimeDefault' } },
  containers: [
    { ...appContainer(), securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } } },
  ],
};
const NET_ADMIN = {
  ...RESTRICTED,
  containers: [{ ...RESTRICTED.containers[0], securityContext: { capabilities: { add: ['NET_ADMIN'] } } }],
};

t.before(() => install());

/** The API server's refusal of an object; empty where it accepts it. */
async function refusal(...objects: object[]): Promise<string> {
  const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });
  const { exitCode, stderr } = await tryKubectl(['create', '-f', '-'], { input });
  return exitCode === 0 ? '' : stderr;
}

for (const level of ['baseline', 'restricted']) {
  t.test(`Pod Security ${level}: pods are created and run, and none has NET_ADMIN`, async (t) => {
    const namespace = await optedInNamespace(t, { 'pod-security.kubernetes.io/enforce': level });
    t.match(
      await refusal(barePod(namespace, 'refused', NET_ADMIN, { labels: { 'invalid-drop.io/inject': 'disabled' } })),
      `violates PodSecurity "${level}:latest"`,
      'the level is enforced',
    );
    await apply(deployment(namespace, RESTRICTED));
    await kubectl(['rollout', 'status', 'deployment/store', '-n', namespace, '--timeout=60s'], { limit: 70_000 });
    for (const pod of await getPods(namespace)) t.same(containerNames(pod), ['app']);
  });
}

for (const how of ['audit', 'warn']) {
  t.test(`Pod Security restricted, but only to ${how}: pods are guarded`, async (t) => {
    const namespace = await optedInNamespace(t, { [`pod-security.kubernetes.io/${how}`]: 'restricted' });
    const [pod] = await create<Pod>(barePod(namespace, 'pod', { schedulerName: 'nobody' }));
    t.ok(pod && isInjected(pod));
  });
}

t.test('a ResourceQuota that demands requests and limits: guarded pods have them, and run', async (t) => {
  const namespace = await optedInNamespace(t);
  const hard = { 'requests.cpu': '1', 'requests.memory': '1Gi', 'limits.cpu': '4', 'limits.memory': '2Gi' };
  await apply({
    apiVersion: 'v1',
    kind: 'ResourceQuota',
    metadata: { name: 'quota', namespace },
    spec: { hard },
  });
  await quotaIsKept(t, namespace);
  await apply(deployment(namespace, SIZED));
  await kubectl(['rollout', 'status', 'deployment/store', '-n', namespace, '--timeout=60s'], { limit: 70_000 });
  const pods = await getPods(namespace);
  t.ok(pods.every(isInjected));
});

t.test('a quota that our container does not fit into: coverage tells which workload cannot create pods', async (t) => {
  const namespace = await optedInNamespace(t);
  await apply({
    apiVersion: 'v1',
    kind: 'ResourceQuota',
    metadata: { name: 'quota', namespace },
    spec: { hard: { 'limits.cpu': '4', 'limits.memory': '130Mi' } },
  });
  await quotaIsKept(t, namespace);
  await apply(deployment(namespace, SIZED));
  const [refused] = await eventually('coverage knows', async () => {
    const { refused } = JSON.parse(await askInPod(`/coverage?namespace=${namespace}`));
    return refused.length > 0 && refused;
  });
  t.match(refused, { namespace, owner: /^ReplicaSet\/store-/, message: /^Error creating: .*exceeded quota: quota/ });
  t.equal(refused.namesOurs, false);
  t.same(await getPods(namespace), []);
});

/** A pod without limits is refused, once the quota is known to the API server. */
async function quotaIsKept(t: Test, namespace: string): Promise<void> {
  await kubectl(['wait', '--for=jsonpath={.status.hard}', 'resourcequota/quota', '-n', namespace, '--timeout=30s'], {
    limit: 40_000,
  });
  t.match(await refusal(barePod(namespace, 'unsized')), 'must specify limits.cpu for: app;', 'and for none of ours');
}

t.test('a LimitRange of usual size: its defaults are for the others, ours keeps its own', async (t) => {
  const namespace = await optedInNamespace(t);
  await apply(limitRange(namespace, { min: { cpu: '1m', memory: '4Mi' }, max: { cpu: '2', memory: '2Gi' } }));
  await apply(barePod(namespace, 'pod'));
  const pod = await waitReady(namespace, 'pod');
  t.ok(isInjected(pod));
  const resources = [...(pod.spec.initContainers ?? []), ...pod.spec.containers].map(({ resources }) => resources);
  t.match(resources, [
    { requests: { cpu: '10m', memory: '32Mi' }, limits: { cpu: '500m', memory: '128Mi' } },
    { limits: { cpu: '500m', memory: '256Mi' } },
  ]);
});

t.test('a LimitRange that ours is not within: the refusal says so, and it can be made to fit', async (t) => {
  const namespace = await optedInNamespace(t);
  const [min, max] = [
    { cpu: '50m', memory: '64Mi' },
    { cpu: '400m', memory: '256Mi' },
  ];
  await apply(limitRange(namespace, { min, max, default: max, maxLimitRequestRatio: { cpu: '8' } }));
  const why = await refusal(barePod(namespace, 'pod'));
  t.match(why, 'minimum memory usage per Container is 64Mi, but request is 32Mi');
  t.match(why, 'maximum cpu usage per Container is 400m, but limit is 500m');

  t.teardown(() => configure({ INVALID_DROP_CHECKER_RESOURCES: '' }));
  await configure({ INVALID_DROP_CHECKER_RESOURCES: 'cpu=50m:400m,memory=64Mi:128Mi' });
  await apply(barePod(namespace, 'pod'));
  t.ok(isInjected(await waitReady(namespace, 'pod')));
});

function deployment(namespace: string, change: object): object {
  const labels = { app: 'store' };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'store', namespace },
    spec: { replicas: 1, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: podSpec(change) } },
  };
}

function limitRange(namespace: string, bounds: object): object {
  const limit = {
    type: 'Container',
    default: { cpu: '500m', memory: '256Mi' },
    defaultRequest: { cpu: '50m', memory: '64Mi' },
    ...bounds,
  };
  return { apiVersion: 'v1', kind: 'LimitRange', metadata: { name: 'range', namespace }, spec: { limits: [limit] } };
}
