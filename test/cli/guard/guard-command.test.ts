// The command with the real client library against an API server on loopback. A real API server is in test/e2e.

import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadYaml } from '@kubernetes/client-node';
import t, { type Test } from 'tap';
import { connectCli } from '../../../cli/connect.ts';
import { guardCommand } from '../../../cli/guard/guard-command.ts';
import { runCommandLine } from '../../../cli/run-command.ts';
import type { JsonObject } from '../../../lib/json.ts';
import { SETTINGS } from '../../webhook/admission/injection-settings.ts';
import { injectedPod } from '../../webhook/coverage/made-pods.ts';
import { kubeconfigFor, startFakeApiServer } from '../../webhook/fake-api-server.ts';
import { LATER, runningPod } from './running-pod.ts';

type Pod = ReturnType<typeof runningPod>;
interface Answer {
  status: number;
  body: object;
}

const DEPLOYMENT = '/apis/apps/v1/namespaces/invalid-drop-system/deployments/invalid-drop-webhook';
const WELL = { terminated: { exitCode: 0, finishedAt: LATER } };
const deployment = (env: object[]) => ({ spec: { template: { spec: { containers: [{ name: 'webhook', env }] } } } });
const failure = (status: number, message: string): Answer => ({ status, body: { kind: 'Status', message } });

interface Setting {
  pods?: Pod[];
  /** What the kubelet makes of each container that is added, by pod. */
  kubelet?: Record<string, object>;
  /** Answers to patches of a pod, one each, in order, in place of taking the container. */
  refusals?: Record<string, Answer[]>;
  webhook?: Answer;
  /** Answer to the question for the namespace. */
  namespace?: Answer;
  /** Paths before that of the cluster. */
  kubeconfigBefore?: string;
}

/** Runs the command in a cluster of these pods. */
async function guard(t: Test, argv: string[], setting: Setting = {}) {
  const { pods = [runningPod()], kubelet = {}, refusals = {} } = setting;
  const image = [{ name: 'INVALID_DROP_IMAGE', value: SETTINGS.image }];
  const webhook = setting.webhook ?? { status: 200, body: deployment(image) };
  const api = await startFakeApiServer([]);
  const requests: string[] = [];
  api.answer = (method, { pathname, search }, body) => {
    requests.push(`${method} ${pathname}${search}`);
    if (pathname === DEPLOYMENT) return webhook;
    if (/^\/api\/v1\/namespaces\/[^/]+$/.test(pathname)) return setting.namespace ?? failure(404, 'no such namespace');
    const [, namespace, , name, subresource] = pathname.split('/').slice(3);
    if (name === undefined) {
      const items = pods.filter(({ metadata }) => metadata['namespace'] === namespace);
      return { status: 200, body: { kind: 'PodList', metadata: {}, items } };
    }
    const pod = pods.find(({ metadata }) => metadata['name'] === name && metadata['namespace'] === namespace);
    if (pod === undefined) return failure(404, `pods "${name}" not found`);
    if (subresource === undefined) return { status: 200, body: pod };
    const refusal = refusals[name]?.shift();
    if (refusal !== undefined) return refusal;
    if (search === '') addTo(pod, JSON.parse(body).spec.ephemeralContainers[0], kubelet[name] ?? WELL);
    return { status: 200, body: pod };
  };
  t.teardown(() => api.close());
  const path = join(t.testdir({}), 'kubeconfig');
  writeFileSync(path, kubeconfigFor(api, {}));
  const [printed, told, noted] = [[] as string[], [] as string[], [] as string[]];
  const KUBECONFIG = setting.kubeconfigBefore ? `${setting.kubeconfigBefore}:${path}` : path;
  const code = await runCommandLine(['guard', ...argv], [guardCommand], {
    env: { KUBECONFIG },
    connect: async (where) => connectCli(where),
    print: (text) => printed.push(text),
    progress: (text) => told.push(text),
    note: (text) => noted.push(text),
    stop: new AbortController().signal,
  });
  return { code, printed: printed.join(''), told, noted, requests, pods };
}

function addTo({ spec, status }: Pod, container: JsonObject, state: object): void {
  spec['ephemeralContainers'] = [...((spec['ephemeralContainers'] ?? []) as object[]), container];
  const statuses = (status['ephemeralContainerStatuses'] ?? []) as object[];
  status['ephemeralContainerStatuses'] = [...statuses, { name: container['name'], state }];
}

const changes = (requests: string[]) => requests.filter((request) => request.startsWith('PATCH'));

t.test('a pod gets a container, and is guarded when that has ended well', async (t) => {
  const { code, printed, told, requests, pods } = await guard(t, ['storage/store-0']);
  t.equal(code, 0);
  t.match(printed, /storage +store-0 +guarded .*\(by invalid-drop-guard-1\)\n\n1 of 1 pods are guarded\n$/);
  t.match(told, [/^\[1\/1\] storage\/store-0: guarded: /]);
  t.same(changes(requests), ['PATCH /api/v1/namespaces/storage/pods/store-0/ephemeralcontainers']);
  t.match(pods[0]?.spec, { ephemeralContainers: [{ name: 'invalid-drop-guard-1', image: SETTINGS.image }] });
});

t.test('what stands under our names and is not ours is printed beside the result', async (t) => {
  const pods = [injectedPod({ image: SETTINGS.image, changeInit: { args: ['--help'] } })];
  const { printed } = await guard(t, ['storage/store-0'], { pods: pods as ReturnType<typeof runningPod>[] });
  t.match(printed, '(by invalid-drop-guard-1; its own containers do not count: altered: invalid-drop-init: args)');
});

t.test('a second run changes nothing', async (t) => {
  const pods = [runningPod({ ephemeral: [{ name: 'invalid-drop-guard-1', state: WELL }] })];
  const { code, printed, requests } = await guard(t, ['storage/store-0'], { pods });
  t.equal(code, 0);
  t.match(printed, 'already-guarded');
  t.same(changes(requests), []);
});

t.test('every pod of a namespace, and only of that', async (t) => {
  const pods = [runningPod(), runningPod({ name: 'store-1' }), runningPod({ namespace: 'media' })];
  const { printed, requests } = await guard(t, ['--namespace', 'storage'], { pods });
  t.match(printed, /2 of 2 pods are guarded/);
  t.equal(changes(requests).length, 2);
});

t.test('a dry run asks the API server, and neither waits nor changes anything', async (t) => {
  const { code, printed, requests, pods } = await guard(t, ['storage/store-0', '--dry-run', '--stay']);
  t.equal(code, 0);
  t.match(printed, 'would-guard');
  const asked = 'PATCH /api/v1/namespaces/storage/pods/store-0/ephemeralcontainers?dryRun=All';
  t.same(changes(requests), [asked, asked]);
  t.notOk(pods[0]?.spec['ephemeralContainers']);
});

t.test('a failed install is told in the words of the program', async (t) => {
  const message = '{"level":"error","message":"an INVALID ipv4 packet is not dropped"}\n';
  const kubelet = { 'store-0': { terminated: { exitCode: 1, message } } };
  const { code, printed } = await guard(t, ['storage/store-0', '--stay'], { kubelet });
  t.equal(code, 1);
  t.match(printed, /install-failed .*\(invalid-drop-guard-1: an INVALID ipv4 packet is not dropped\)/);
  t.match(printed, '0 of 1 pods are guarded');
});

t.test('a container that does not start in time is told with what it waits for', async (t) => {
  const kubelet = { 'store-0': { waiting: { reason: 'ImagePullBackOff', message: 'Back-off' } } };
  const { printed } = await guard(t, ['storage/store-0', '--timeout=1s'], { kubelet });
  t.match(printed, /timed-out .*invalid-drop-guard-1 after 1 s: ImagePullBackOff: Back-off/);
});

t.test('stay: a second container, which has to run; one that ends is no checker', async (t) => {
  const kubelet = { 'store-0': WELL };
  const { code, printed, pods } = await guard(t, ['storage/store-0', '--stay'], { kubelet });
  t.equal(code, 1);
  t.match(printed, /checker-failed .*invalid-drop-guard-checker-1/);
  const containers = pods[0]?.spec['ephemeralContainers'] as { command: string[] }[];
  t.match(
    containers.map(({ command }) => command.at(-1)),
    [/install\.js$/, /check\.js$/],
  );
});

const refused: [string, Answer, string, RegExp][] = [
  [
    'Pod Security',
    failure(403, 'pods "store-0" is forbidden: violates PodSecurity "restricted:latest": unrestricted capabilities'),
    'pod-security',
    /the namespace enforces "restricted:latest"/,
  ],
  [
    'RBAC',
    failure(
      403,
      'pods "store-0" is forbidden: User "jane" cannot patch resource "pods/ephemeralcontainers" in API group ""',
    ),
    'forbidden',
    /needs permission to patch pods\/ephemeralcontainers in namespace storage/,
  ],
  ['no credentials', failure(401, 'Unauthorized'), 'forbidden', /the API server rejects your credentials/],
  [
    'another webhook',
    failure(403, 'admission webhook "policy.example" denied the request: no'),
    'refused',
    /admission webhook "policy\.example" denied the request: no/,
  ],
  ['the API server in trouble', failure(503, 'etcd is away'), 'error', /etcd is away/],
  ['it went in between', failure(404, 'pods "store-0" not found'), 'not-found', /there is no such pod/],
];

for (const [what, answer, outcome, words] of refused) {
  t.test(`refused: ${what}: ${outcome}, and why`, async (t) => {
    const { code, printed } = await guard(t, ['storage/store-0'], { refusals: { 'store-0': [answer] } });
    t.equal(code, 1);
    t.match(printed, new RegExp(`store-0 +${outcome} `));
    t.match(printed, words);
  });
}

t.test('after a conflict the pod is looked at anew, not for ever', async (t) => {
  const conflict = failure(409, 'the object has been modified');
  const once = await guard(t, ['storage/store-0'], { refusals: { 'store-0': [conflict] } });
  t.equal(once.code, 0);
  t.equal(changes(once.requests).length, 2);
  const always = await guard(t, ['storage/store-0'], { refusals: { 'store-0': Array(20).fill(conflict) } });
  t.match(always.printed, 'refused');
  t.equal(changes(always.requests).length, 4);
});

t.test('a pod that is not there', async (t) => {
  const { code, printed } = await guard(t, ['storage/store-9']);
  t.equal(code, 1);
  t.match(printed, /store-9 +not-found/);
});

t.test('options that the webhook has for new pods hold for running ones', async (t) => {
  const env = [
    { name: 'INVALID_DROP_IMAGE', value: 'registry.example/other:3' },
    { name: 'INVALID_DROP_LEGACY_IPTABLES', value: 'enabled' },
    { name: 'POD_NAME', valueFrom: { fieldRef: {} } },
  ];
  const { pods } = await guard(t, ['storage/store-0'], { webhook: { status: 200, body: deployment(env) } });
  t.match(pods[0]?.spec['ephemeralContainers'], [
    { image: 'registry.example/other:3', securityContext: { capabilities: { add: ['NET_ADMIN', 'NET_RAW'] } } },
  ]);
});

const agents = (nodeMode: string): Answer => {
  const env = { INVALID_DROP_IMAGE: SETTINGS.image, INVALID_DROP_NODE_MODE: nodeMode };
  return { status: 200, body: deployment(Object.entries(env).map(([name, value]) => ({ name, value }))) };
};
const labelled = (value: string): Answer => ({
  status: 200,
  body: { metadata: { labels: { 'invalid-drop.io/inject': value } } },
});
const NAMESPACE = 'GET /api/v1/namespaces/storage';
const conditions = (reason: string, status: string) => ({
  conditions: [{ type: 'invalid-drop.io/guarded', status, reason, message: 'a rule accepts them' }],
});

t.test('pods of a namespace of the agents are left to them, and nothing is added', async (t) => {
  const pods = [
    runningPod({ status: conditions('Guarded', 'True') }),
    runningPod({ name: 'store-1', status: conditions('NotGuarded', 'False') }),
    runningPod({ name: 'store-2' }),
  ];
  const webhook = agents('available');
  const setting = { pods, webhook, namespace: labelled('node') };
  const { code, printed, requests } = await guard(t, ['--namespace=storage'], setting);
  t.equal(code, 1);
  t.match(printed, /store-0 +guarded-by-agent /);
  t.match(printed, /store-1 +left-to-agent .*\(it says NotGuarded: a rule accepts them\)/);
  t.match(printed, /store-2 +left-to-agent .*\(no agent has taken it up\)/);
  t.match(printed, '1 of 3 pods are guarded');
  t.same(changes(requests), []);
  t.equal(requests.filter((one) => one === NAMESPACE).length, 1, 'the namespace is asked for once');
  const guarded = await guard(t, ['storage/store-0'], { ...setting, pods: pods.slice(0, 1) });
  t.equal(guarded.code, 0);
});

t.test('where agents are available, pods of other namespaces get their container', async (t) => {
  const setting = { webhook: agents('available'), namespace: labelled('enabled') };
  const { code, printed } = await guard(t, ['storage/store-0'], setting);
  t.equal(code, 0);
  t.match(printed, /store-0 +guarded /);
  const byDefault = await guard(t, ['storage/store-0'], { ...setting, webhook: agents('default') });
  t.match(byDefault.printed, /store-0 +left-to-agent /);
});

t.test('without agents nobody asks for the namespace; with agents it takes a permission', async (t) => {
  const { requests } = await guard(t, ['storage/store-0']);
  t.notOk(requests.includes(NAMESPACE));
  const namespace = failure(403, 'namespaces "storage" is forbidden: User "jane" cannot get resource "namespaces"');
  const refused = await guard(t, ['storage/store-0'], { webhook: agents('available'), namespace });
  t.equal(refused.code, 1);
  t.match(refused.printed, /forbidden .*needs permission to get namespaces in namespace storage/);
  t.same(changes(refused.requests), []);
});

t.test('where there is no webhook the image has to be named', async (t) => {
  const webhook = failure(404, 'not found');
  const unknown = await guard(t, ['storage/store-0'], { webhook });
  t.equal(unknown.code, 2);
  t.match(unknown.noted, [/^GUARD_IMAGE_UNKNOWN: .*--image/]);
  const { code, pods, noted } = await guard(t, ['storage/store-0', '--image=own:1'], { webhook });
  t.equal(code, 0);
  t.match(pods[0]?.spec['ephemeralContainers'], [{ image: 'own:1' }]);
  t.match(noted, [/so the defaults apply: status 404/]);
});

t.test('an API server that cannot say what is there: exit code 2, and why', async (t) => {
  const { code, noted } = await guard(t, ['storage/store-0'], { webhook: failure(503, 'etcd is away') });
  t.equal(code, 2);
  t.match(noted, [/etcd is away/]);
});

t.test('of several kubeconfig files those that are there are merged, and --context chooses', async (t) => {
  const other = JSON.stringify({
    clusters: [{ name: 'away', cluster: { server: 'https://127.0.0.1:1' } }],
    users: [{ name: 'nobody', user: {} }],
    contexts: [{ name: 'away', context: { cluster: 'away', user: 'nobody' } }],
    'current-context': 'away',
  });
  const folder = await mkdtemp(join(tmpdir(), 'guard-'));
  t.teardown(() => rm(folder, { recursive: true }));
  writeFileSync(join(folder, 'first'), other);
  const kubeconfigBefore = `/nonexistent/kubeconfig:${join(folder, 'first')}`;
  const chosen = await guard(t, ['storage/store-0', '--context=x'], { kubeconfigBefore });
  t.equal(chosen.code, 0);
  const current = await guard(t, ['storage/store-0'], { kubeconfigBefore });
  t.equal(current.code, 2);
  t.match(current.noted, [/^CLUSTER_UNREACHABLE: .*fetch failed/]);
});

t.test('a context that the kubeconfig does not have is refused', async (t) => {
  const { code, noted } = await guard(t, ['storage/store-0', '--context=prod']);
  t.equal(code, 2);
  t.match(noted, [/^CLUSTER_CONFIGURATION: .*it has no context "prod"/]);
});

t.test('--help asks nobody', async (t) => {
  const { code, printed, requests } = await guard(t, ['--help']);
  t.equal(code, 0);
  t.match(printed, /^Usage: kubectl invalid-drop guard[\s\S]*--stay[\s\S]*--max-failures/);
  t.same(requests, []);
});

t.test(
  'a pod without a namespace is in that of the context, as kubectl takes it; without a pod -n is needed',
  async (t) => {
    const pods = [runningPod({ namespace: 'default' })];
    const { code, printed } = await guard(t, ['store-0'], { pods });
    t.equal(code, 0);
    t.match(printed, /default +store-0 +guarded /);
    const missing = await guard(t, []);
    t.match(missing, { code: 2, noted: [/^GUARD_TARGETS_MISSING: /], requests: [] });
    const everywhere = await guard(t, ['-A']);
    t.match(everywhere, { code: 2, noted: [/^ARGUMENT_NOT_TAKEN: /], requests: [] });
  },
);

t.test('as JSON and YAML', async (t) => {
  const { printed } = await guard(t, ['storage/store-0', '-o', 'json']);
  t.match(JSON.parse(printed), { pods: [{ namespace: 'storage', pod: 'store-0', outcome: 'guarded', kind: 'ok' }] });
  const yaml = await guard(t, ['storage/store-0', '-oyaml']);
  t.match(loadYaml(yaml.printed), { pods: [{ pod: 'store-0', outcome: 'guarded' }] });
});
