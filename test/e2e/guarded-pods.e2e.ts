// What can happen to guarded pods while they run, done from the node's side.
import t from 'tap';
import { CHECKER_CONTAINER, INIT_CONTAINER } from '../../lib/contract.ts';
import { apply, create, kubectl } from '../harness/cluster/kubectl.ts';
import {
  flushPod,
  inPod,
  killContainer,
  killProcess,
  nodeRules,
  onNode,
  podRuleset,
  restart,
  restartsOf,
  skipWithoutNode,
} from '../harness/cluster/node-side.ts';
import {
  askChecker,
  barePod,
  containerNames,
  getPod,
  isInjected,
  isReady,
  type Pod,
  waitReady,
} from '../harness/cluster/pod-status.ts';
import { optedInNamespace } from '../harness/cluster/test-workloads.ts';
import { askWebhook, install } from '../harness/cluster/webhook-installation.ts';
import { eventually } from '../harness/wait-until.ts';

const skip = skipWithoutNode;
const RULE = ['-t', 'mangle', '-A', 'PREROUTING', '-p', 'tcp', '-m', 'conntrack', '--ctstate', 'INVALID', '-j', 'DROP'];
const GATE = { schedulingGates: [{ name: 'e2e.invalid-drop.io/wait' }] };
let rulesBefore: string[] = [];

t.before(async () => {
  await install();
  if (!skip) rulesBefore = await nodeRules();
});

interface Report {
  guarded: boolean;
  drift: number;
  repairs: number;
  readiness: { lost: number };
}

async function checkerReport(namespace: string, pod: string): Promise<Report> {
  return JSON.parse(await askChecker(namespace, pod, '/selfcheck')) as Report;
}

/** Waits until the pod's checker says that it is guarded, and its ruleset drops. */
async function guarded(namespace: string, name: string): Promise<Pod> {
  await waitReady(namespace, name);
  await eventually(`${name} is guarded`, async () => (await checkerReport(namespace, name)).guarded);
  const ruleset = await podRuleset(namespace, name);
  if (!/ct state invalid.* drop/.test(ruleset)) throw new Error(`${name} has no rule:\n${ruleset}`);
  return getPod(namespace, name);
}

/** Events of a container's log, in order. */
async function logEvents(namespace: string, pod: string, container: string): Promise<string[]> {
  const log = await kubectl(['logs', pod, '-c', container, '-n', namespace]);
  return log
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).event);
}

async function coverageReasons(namespace: string): Promise<Record<string, number>> {
  return JSON.parse(await askWebhook(`/coverage?namespace=${namespace}`)).reasons;
}

/**
 * A pod as the webhook makes it, but without NET_ADMIN. The webhook leaves it as it is, since the names are taken.
 */
async function withoutNetAdmin(namespace: string, name: string, annotations: object): Promise<object> {
  const dry = await kubectl(['create', '--dry-run=server', '-o', 'json', '-f', '-'], {
    input: JSON.stringify(barePod(namespace, name, {}, { annotations })),
  });
  const { apiVersion, kind, metadata, spec } = JSON.parse(dry.replaceAll('"NET_ADMIN"', ''));
  return { apiVersion, kind, metadata: { name, namespace, annotations: metadata.annotations }, spec };
}

t.test('a container that is killed is started again, in a pod that stays guarded', { skip }, async (t) => {
  const namespace = await optedInNamespace(t);
  await apply(barePod(namespace, 'killed'));
  const before = await guarded(namespace, 'killed');
  for (const container of ['app', CHECKER_CONTAINER]) {
    await killContainer(namespace, 'killed', container);
    const after = await guarded(namespace, 'killed');
    t.equal(restartsOf(after, container), 1, container);
    t.equal(after.status.podIP, before.status.podIP, 'in the same network');
  }
  t.equal(restartsOf(await getPod(namespace, 'killed'), INIT_CONTAINER), 0);
});

t.test('a pod that gets a new network namespace is guarded again', { skip }, async (t) => {
  const namespace = await optedInNamespace(t);
  await apply(barePod(namespace, 'anew'));
  const before = await guarded(namespace, 'anew');
  await killProcess(before, '/pause');
  const after = await eventually('the init container has run again', async () => {
    const pod = await getPod(namespace, 'anew');
    return pod.status.podIP !== before.status.podIP && restartsOf(pod, INIT_CONTAINER) > 0 && pod;
  });
  t.not(after.status.podIP, before.status.podIP);
  await guarded(namespace, 'anew');
});

t.test(
  'an init container of ours that is killed at its work is run again before anything starts',
  { skip },
  async (t) => {
    const namespace = await optedInNamespace(t);
    const [pod] = await create<Pod>(barePod(namespace, 'init', GATE));
    if (!pod) throw new Error('not created');
    const kill = killProcess(pod, 'install.js');
    await kubectl(['patch', 'pod', 'init', '-n', namespace, '--type=merge', '-p', '{"spec":{"schedulingGates":null}}']);
    await kill;
    const after = await guarded(namespace, 'init');
    t.equal(restartsOf(after, INIT_CONTAINER), 1);
    t.equal(restartsOf(after, 'app'), 0);
  },
);

t.test('enforce: a pod whose rule cannot be installed does not start, and one line says why', { skip }, async (t) => {
  const namespace = await optedInNamespace(t);
  await create(await withoutNetAdmin(namespace, 'held', {}));
  const pod = await eventually('the init container has failed twice', async () => {
    const now = await getPod(namespace, 'held');
    return restartsOf(now, INIT_CONTAINER) > 0 && now;
  });
  t.equal(pod.status.phase, 'Pending');
  for (const { name, state } of pod.status.containerStatuses ?? [])
    t.match(state, { waiting: { reason: 'PodInitializing' } }, name);
  const log = await kubectl(['logs', 'held', '-c', INIT_CONTAINER, '-n', namespace]);
  const errors = log
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
    .filter(({ level }) => level === 'error');
  t.equal(errors.length, 1);
  t.match(errors[0], { code: /^[A-Z_]+$/, message: /NET_ADMIN/ });
  await eventually('coverage says altered', async () => (await coverageReasons(namespace))['altered'] === 1);
});

t.test('observe: such a pod starts, and its checker and coverage report it', { skip }, async (t) => {
  const namespace = await optedInNamespace(t);
  await create(await withoutNetAdmin(namespace, 'observed', { 'invalid-drop.io/mode': 'observe' }));
  const pod = await waitReady(namespace, 'observed');
  t.ok(isInjected(pod));
  t.match(await askChecker(namespace, 'observed', '/metrics'), /^invalid_drop_ready 1$/m);
  const events = await logEvents(namespace, 'observed', CHECKER_CONTAINER);
  t.ok(events.includes('check-failed'), events.join());
  await eventually('coverage says altered', async () => (await coverageReasons(namespace))['altered'] === 1);
});

t.test('a rule that is deleted: not ready, repaired, ready', { skip }, async (t) => {
  const namespace = await optedInNamespace(t);
  await apply(barePod(namespace, 'drift'));
  await guarded(namespace, 'drift');
  await flushPod(namespace, 'drift');
  const report = await eventually('it is repaired', async () => {
    const now = await checkerReport(namespace, 'drift');
    return now.repairs > 0 && now;
  });
  t.match(report, { guarded: true, drift: 1, repairs: 1, readiness: { lost: 1 } });
  const pod = await guarded(namespace, 'drift');
  t.equal(restartsOf(pod, CHECKER_CONTAINER) + restartsOf(pod, 'app'), 0);
  const events = await logEvents(namespace, 'drift', CHECKER_CONTAINER);
  t.same(events.slice(events.indexOf('drift')), ['drift', 'not-ready', 'exemption-lost', 'repaired', 'ready']);
});

t.test('on-drift=report: it is not Ready as long as the rule is missing', { skip }, async (t) => {
  const namespace = await optedInNamespace(t);
  await apply(barePod(namespace, 'report', {}, { annotations: { 'invalid-drop.io/on-drift': 'report' } }));
  await guarded(namespace, 'report');
  await flushPod(namespace, 'report');
  await eventually('it is not Ready', async () => !isReady(await getPod(namespace, 'report')));
  await eventually('coverage says so', async () => (await coverageReasons(namespace))['checker-not-ready'] === 1);
  t.notMatch(await podRuleset(namespace, 'report'), /drop/);
  for (const program of ['iptables-nft', 'ip6tables-nft']) await inPod(namespace, 'report', program, ...RULE);
  await guarded(namespace, 'report');
  await eventually('coverage says guarded', async () => (await coverageReasons(namespace))['guarded'] === 1);
});

t.test('containerd is killed and comes back: pods stay guarded, and new ones are', { skip }, async (t) => {
  const namespace = await optedInNamespace(t);
  await apply(barePod(namespace, 'before'));
  await guarded(namespace, 'before');
  await restart('containerd');
  await apply(barePod(namespace, 'after'));
  await guarded(namespace, 'after');
  const pod = await guarded(namespace, 'before');
  for (const name of containerNames(pod)) t.equal(restartsOf(pod, name), 0, name);
});

t.test("a pod on the host network is not touched, and neither is the node's own ruleset", { skip }, async (t) => {
  const namespace = await optedInNamespace(t);
  await apply(barePod(namespace, 'host', { hostNetwork: true }));
  t.notOk(isInjected(await waitReady(namespace, 'host')));
  t.same(await nodeRules(), rulesBefore, 'after all the pods of this file');
  t.teardown(() => onNode('nft', 'delete', 'table', 'ip', 'e2e-control'));
  const chain = 'add chain ip e2e-control c; add rule ip e2e-control c ct state invalid drop';
  await onNode('nft', `add table ip e2e-control; ${chain}`);
  t.same(await nodeRules(), [...rulesBefore, 'ip e2e-control: chain c: ct state invalid drop'], 'a rule would be seen');
});
