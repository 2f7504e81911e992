// Pods of every kind of workload, as the API server stores them and as the kubelet runs them.

import { rm, writeFile } from 'node:fs/promises';
import t from 'tap';
import { CHECKER_CONTAINER, INIT_CONTAINER, OPT_IN_LABEL } from '../../lib/contract.ts';
import { apply, create, getJson, kubectl, tryKubectl } from '../harness/cluster/kubectl.ts';
import { node, skipWithoutNode } from '../harness/cluster/node-side.ts';
import {
  appContainer,
  askChecker,
  barePod,
  containerNames,
  getPod,
  getPods,
  isInjected,
  isReady,
  type Pod,
  waitReady,
} from '../harness/cluster/pod-status.ts';
import { cronJob, job, optedInNamespace, plainNamespace, STAYING } from '../harness/cluster/test-workloads.ts';
import { askWebhook, configure, install } from '../harness/cluster/webhook-installation.ts';
import { eventually } from '../harness/wait-until.ts';

/** No scheduler has this name: such a pod is stored and never runs. */
const STORED_ONLY = { schedulerName: 'nobody' };
const OURS = [CHECKER_CONTAINER];

t.before(() => install());

/** Creates a pod. @returns it as it is stored, and the warnings that kubectl printed */
async function createPod(pod: object, ...flags: string[]): Promise<{ pod: Pod; warnings: string }> {
  const { exitCode, stdout, stderr } = await tryKubectl(['create', '-o', 'json', '-f', '-', ...flags], {
    input: JSON.stringify(pod),
  });
  if (exitCode !== 0) throw new Error(stderr);
  return { pod: JSON.parse(stdout), warnings: stderr };
}

async function jobCompletes(namespace: string, name: string): Promise<Pod> {
  await kubectl(['wait', '--for=condition=Complete', `job/${name}`, '-n', namespace, '--timeout=60s'], {
    limit: 70_000,
  });
  const pod = (await getPods(namespace, `job-name=${name}`))[0];
  if (!pod) throw new Error(`job ${name} has no pod`);
  return pod;
}

t.test(
  'a labelled namespace: the pods of every kind of workload are guarded, and those of Jobs complete',
  async (t) => {
    const namespace = await optedInNamespace(t);
    const workloads = Object.entries(STAYING).map(([kind, make]) => make(namespace, kind.toLowerCase()));
    await apply(...workloads, job(namespace, 'job'), cronJob(namespace, 'cronjob'), barePod(namespace, 'bare'));
    await kubectl(['create', 'job', 'by-hand', '--from=cronjob/cronjob', '-n', namespace]);
    for (const name of ['job', 'by-hand']) {
      const pod = await jobCompletes(namespace, name);
      t.equal(pod.status.phase, 'Succeeded');
      t.same(containerNames(pod), [...OURS, 'app'], name);
    }
    for (const kind of Object.keys(STAYING)) {
      const pod = await eventually(`the pod of the ${kind} is Ready`, async () =>
        (await getPods(namespace, `app=${kind.toLowerCase()}`)).find(isReady),
      );
      t.same(containerNames(pod), [...OURS, 'app'], kind);
    }
    t.same(containerNames(await waitReady(namespace, 'bare')), [...OURS, 'app']);
    const report = await eventually('coverage counts those that stay', async () => {
      const answer = JSON.parse(await askWebhook(`/coverage?namespace=${namespace}`));
      return answer.reasons.guarded === 4 && answer;
    });
    t.equal(report.total, 4, 'and not those that have ended');
  },
);

t.test('a namespace without the label: the same workloads, untouched', async (t) => {
  const namespace = await plainNamespace(t);
  const workloads = Object.entries(STAYING).map(([kind, make]) => make(namespace, kind.toLowerCase(), STORED_ONLY));
  await apply(...workloads, job(namespace, 'job', STORED_ONLY), barePod(namespace, 'bare', STORED_ONLY));
  const pods = await eventually('all are stored', async () => {
    const all = await getPods(namespace);
    return all.length === 5 && all;
  });
  for (const pod of pods) t.same(containerNames(pod), ['app'], pod.metadata.name);
});

t.test('the pod is stored as the application asked, with our container first', async (t) => {
  const namespace = await optedInNamespace(t);
  const plain = await plainNamespace(t);
  const change = { ...STORED_ONLY, initContainers: [{ ...appContainer('first'), restartPolicy: 'Always' }] };
  const metadata = { annotations: { note: 'kept' }, labels: { app: 'kept' } };
  const [{ pod: guarded }, { pod: asSent }] = await Promise.all([
    createPod(barePod(namespace, 'pod', change, metadata)),
    createPod(barePod(plain, 'pod', change, metadata)),
  ]);
  t.same(containerNames(guarded), [...OURS, 'first', 'app']);
  t.match(guarded.metadata, metadata);
  const without = (pod: Pod, names: string[]) => {
    const keep = ({ name }: { name: string }) => !names.includes(name);
    const mounts = /"kube-api-access-\w+"/g;
    const spec = { ...pod.spec, initContainers: (pod.spec.initContainers ?? []).filter(keep) };
    return JSON.parse(JSON.stringify(spec).replace(mounts, '"token"'));
  };
  t.same(without(guarded, OURS), without(asSent, []), 'nothing else of the pod has changed');
});

t.test('without native sidecars an init container installs, and only pods that stay get a checker', async (t) => {
  t.teardown(() => configure({ INVALID_DROP_NATIVE_SIDECARS: '' }));
  await configure({ INVALID_DROP_NATIVE_SIDECARS: 'disabled' });
  const namespace = await optedInNamespace(t);
  await apply(STAYING.Deployment(namespace, 'store'), job(namespace, 'job'));
  t.same(containerNames(await jobCompletes(namespace, 'job')), [INIT_CONTAINER, 'app']);
  const pod = await eventually('the pod of the Deployment is Ready', async () =>
    (await getPods(namespace, 'app=store')).find(isReady),
  );
  t.same(containerNames(pod), [INIT_CONTAINER, 'app', CHECKER_CONTAINER]);
  t.equal(JSON.parse(await askChecker(namespace, pod.metadata.name, '/selfcheck')).guarded, true);
  await eventually('coverage counts it', async () => {
    const { reasons } = JSON.parse(await askWebhook(`/coverage?namespace=${namespace}`));
    return reasons.guarded === 1;
  });
});

t.test('a dry run shows our container and leaves nothing', async (t) => {
  const namespace = await optedInNamespace(t);
  const { pod } = await createPod(barePod(namespace, 'dry'), '--dry-run=server');
  t.same(containerNames(pod), [...OURS, 'app']);
  t.same(await getPods(namespace), []);
});

t.test('a pod with a generated name', async (t) => {
  const namespace = await optedInNamespace(t);
  const { kind, apiVersion, spec } = barePod(namespace, '', STORED_ONLY);
  const { pod } = await createPod({ kind, apiVersion, metadata: { generateName: 'any-', namespace }, spec });
  t.match(pod.metadata.name, /^any-\w+$/);
  t.ok(isInjected(pod));
});

t.test('a pod of fifty containers', async (t) => {
  const namespace = await optedInNamespace(t);
  const containers = Array.from({ length: 50 }, (_, i) => appContainer(`app-${i}`));
  const { pod } = await createPod(barePod(namespace, 'fifty', { ...STORED_ONLY, containers }));
  t.same(containerNames(pod), [...OURS, ...containers.map(({ name }) => name)]);
});

/** Requests are the limits, as the API server sets them where there are none. */
const sized = (cpu: string, memory: string) => ({ resources: { limits: { cpu, memory } } });
const BUDGET = { requests: { cpu: '100m', memory: '64Mi' }, limits: { cpu: '100m', memory: '64Mi' } };
const CHECKER_RESOURCES = 'invalid-drop.io/checker-resources';

const QOS_CLASSES = [
  { title: 'Guaranteed', change: { containers: [{ ...appContainer(), ...sized('50m', '64Mi') }] } },
  {
    title: 'Guaranteed with init containers',
    change: {
      initContainers: [
        { ...appContainer('sidecar'), ...sized('10m', '64Mi'), restartPolicy: 'Always' },
        { ...appContainer('migrate', 'process.exit(0)'), ...sized('1', '64Mi') },
      ],
      containers: [{ ...appContainer(), ...sized('2', '64Mi') }],
    },
  },
  {
    title: 'Guaranteed with an annotation',
    change: { containers: [{ ...appContainer(), ...sized('50m', '64Mi') }] },
    annotations: { [CHECKER_RESOURCES]: 'cpu=10m:50m,memory=32Mi:64Mi,ephemeral-storage=10Mi:100Mi' },
  },
  { title: 'Guaranteed as a whole', change: { resources: BUDGET } },
  { title: 'Burstable', change: { containers: [{ ...appContainer(), resources: { limits: { cpu: '1' } } }] } },
];

for (const [index, { title, change, annotations = {} }] of QOS_CLASSES.entries()) {
  t.test(`QoS class: ${title}, with our container and without`, async (t) => {
    const [namespace, plain] = await Promise.all([optedInNamespace(t), plainNamespace(t)]);
    const sendTo = (one: string) =>
      createPod(barePod(one, `qos-${index}`, { ...STORED_ONLY, ...change }, { annotations }));
    const [{ pod: guarded }, { pod: asSent }] = await Promise.all([sendTo(namespace), sendTo(plain)]);
    t.ok(isInjected(guarded));
    if ('resources' in change && asSent.spec['resources'] === undefined) {
      return t.comment('this Kubernetes has no resources of the pod as a whole');
    }
    t.equal(asSent.status.qosClass, title.split(' ')[0]);
    t.equal(guarded.status.qosClass, asSent.status.qosClass);
  });
}

t.test('a Guaranteed pod runs as one', async (t) => {
  const namespace = await optedInNamespace(t);
  await create(barePod(namespace, 'guaranteed', { containers: [{ ...appContainer(), ...sized('50m', '64Mi') }] }));
  const pod = await waitReady(namespace, 'guaranteed');
  t.ok(isInjected(pod));
  t.equal(pod.status.qosClass, 'Guaranteed');
  const resources = { requests: { cpu: '200m' }, limits: { cpu: '200m' } };
  t.match(pod.spec.initContainers?.[0], { resources }, 'no whole core, which the CPU manager would take for it alone');
});

t.test('resources beyond the bound are refused, and the message has the bound', async (t) => {
  const namespace = await optedInNamespace(t);
  const annotations = { [CHECKER_RESOURCES]: 'memory=64Mi:1Ti' };
  const refused = createPod(barePod(namespace, 'wrong', {}, { annotations }));
  await t.rejects(refused, {
    message: `${CHECKER_RESOURCES}="memory=64Mi:1Ti" is not allowed: use at most 512Mi of memory`,
  });
});

t.test('a wrong annotation is refused, with what it may be', async (t) => {
  const namespace = await optedInNamespace(t);
  const annotations = { 'invalid-drop.io/mode': 'strict', 'invalid-drop.io/protocol': 'udp' };
  const refused = createPod(barePod(namespace, 'wrong', {}, { annotations }));
  const error = await refused.then(
    () => 'it was not refused',
    ({ message }) => message,
  );
  t.match(error, 'admission webhook "pods.invalid-drop.io" denied the request: invalid-drop: ');
  t.match(error, 'invalid-drop.io/mode="strict" is not allowed: use enforce or observe');
  t.match(error, 'invalid-drop.io/protocol="udp" is not allowed: use tcp or all');
  t.same(await getPods(namespace), []);
});

t.test(
  'a pod that is created again from what was stored is stored byte for byte the same, without a warning',
  async (t) => {
    const namespace = await optedInNamespace(t);
    const { pod } = await createPod(barePod(namespace, 'again', STORED_ONLY));
    t.ok(isInjected(pod));
    await kubectl(['delete', 'pod', 'again', '-n', namespace, '--grace-period=0', '--force']);
    const { apiVersion, kind, metadata, spec } = pod as Pod & { apiVersion: string; kind: string };
    const { name, annotations, labels } = metadata;
    const again = await createPod({ apiVersion, kind, metadata: { name, namespace, annotations, labels }, spec });
    t.equal(JSON.stringify(again.pod.spec), JSON.stringify(spec));
    t.same(again.pod.metadata.annotations, annotations);
    t.equal(again.warnings, '');
  },
);

const LABEL_OFF = { labels: { [OPT_IN_LABEL]: 'disabled' } };
const ANNOTATION_OFF = { annotations: { [OPT_IN_LABEL]: 'disabled' } };
const RESTRICTED = {
  ...STORED_ONLY,
  securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: 'RuntimeDefault' } },
  containers: [
    { ...appContainer(), securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } } },
  ],
};
const enforce = (level: string) => ({ 'pod-security.kubernetes.io/enforce': level });

/** The pod or its namespace, and the reason. Where `silent`, the API server does not call the webhook. */
const LEFT_ALONE = [
  { title: 'opted out by its annotation', reason: 'opted-out', change: STORED_ONLY, metadata: ANNOTATION_OFF },
  { title: 'opted out by its label', reason: 'opted-out', silent: true, change: STORED_ONLY, metadata: LABEL_OFF },
  { title: 'on the host network', reason: 'host-network', silent: true, change: { ...STORED_ONLY, hostNetwork: true } },
  {
    title: 'for Windows, by its selector',
    reason: 'windows',
    change: { nodeSelector: { 'kubernetes.io/os': 'windows' } },
  },
  { title: 'for Windows, by its os', reason: 'windows', change: { ...STORED_ONLY, os: { name: 'windows' } } },
  {
    title: 'in a namespace of Pod Security baseline',
    reason: 'pod-security',
    labels: enforce('baseline'),
    change: STORED_ONLY,
  },
  {
    title: 'in a namespace of Pod Security restricted',
    reason: 'pod-security',
    labels: enforce('restricted'),
    change: RESTRICTED,
  },
];

for (const { title, reason, silent, labels, change, metadata } of LEFT_ALONE) {
  t.test(`a pod that is ${title} is stored as it is, and coverage says ${reason}`, async (t) => {
    const namespace = await optedInNamespace(t, labels);
    // The webhook learns of a namespace by its watch.
    await eventually('both replicas know the namespace', () => knowsNamespace(namespace, labels !== undefined));
    const { pod, warnings } = await createPod(barePod(namespace, 'pod', change, metadata));
    t.same(containerNames(pod), ['app']);
    t.equal(pod.status.phase, 'Pending');
    if (silent) t.equal(warnings, '');
    else t.match(warnings, `Warning: invalid-drop: not guarded: ${reason}: `);
    const coverage = await eventually('coverage knows the pod', async () => {
      const answer = JSON.parse(await askWebhook(`/coverage?namespace=${namespace}`));
      return answer.total === 1 && answer;
    });
    t.same(coverage.reasons, { [reason]: 1 });
  });
}

/** Dry runs, so many in a row that both replicas were probably asked. */
async function knowsNamespace(namespace: string, forbids: boolean): Promise<boolean> {
  if (!forbids) return true;
  const tries = Array.from({ length: 6 }, () =>
    tryKubectl(['create', '--dry-run=server', '-f', '-'], {
      input: JSON.stringify(barePod(namespace, 'probe', RESTRICTED)),
    }),
  );
  return (await Promise.all(tries)).every(({ stderr }) => stderr.includes('pod-security'));
}

t.test('a static pod runs as it is, and coverage says mirror-pod', { skip: skipWithoutNode }, async (t) => {
  const namespace = await optedInNamespace(t);
  const file = `${node().files}/static-pods/${namespace}.json`;
  t.teardown(() => rm(file, { force: true }));
  await writeFile(file, JSON.stringify(barePod(namespace, 'static')));
  const name = `static-${node().name}`;
  t.same(containerNames(await waitReady(namespace, name)), ['app']);
  const coverage = await eventually('coverage knows the pod', async () => {
    const answer = JSON.parse(await askWebhook(`/coverage?namespace=${namespace}`));
    return answer.total === 1 && answer;
  });
  t.same(coverage.reasons, { 'mirror-pod': 1 });
  await rm(file);
  await eventually('it is gone', async () => (await getPods(namespace)).length === 0);
});

t.test('an update of a pod adds nothing to it', async (t) => {
  const namespace = await plainNamespace(t);
  await create(barePod(namespace, 'older', STORED_ONLY));
  await kubectl(['label', 'namespace', namespace, `${OPT_IN_LABEL}=enabled`]);
  await kubectl(['label', 'pod', 'older', '-n', namespace, 'changed=yes']);
  t.same(containerNames(await getPod(namespace, 'older')), ['app']);
  const { items } = await getJson<{ items: Pod[] }>('pods', '-n', namespace);
  t.equal(items.length, 1);
});
