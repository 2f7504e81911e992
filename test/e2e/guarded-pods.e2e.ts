// What can happen to guarded pods while they run, done from the node's side.
import { connect } from 'node:net';
import t, { type Test } from 'tap';
import { CHECKER_CONTAINER } from '../../lib/contract.ts';
import { apply, create, kubectl } from '../harness/cluster/kubectl.ts';
import {
  flushPod,
  inPod,
  killContainer,
  killProcess,
  nodeRules,
  onNode,
  pidOfContainer,
  podRuleset,
  restart,
  restartsOf,
  skipWithoutNode,
} from '../harness/cluster/node-side.ts';
import {
  appContainer,
  askChecker,
  barePod,
  containerNames,
  getPod,
  isInjected,
  isReady,
  type Pod,
  restartsIn,
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

/** A pod as the webhook makes it, with a change. The webhook leaves it as it is, since the name is taken. */
async function injectedPod(
  namespace: string,
  name: string,
  annotations: object,
  change: (spec: Pod['spec']) => Pod['spec'],
): Promise<object> {
  const dry = await kubectl(['create', '--dry-run=server', '-o', 'json', '-f', '-'], {
    input: JSON.stringify(barePod(namespace, name, {}, { annotations })),
  });
  const { apiVersion, kind, metadata, spec } = JSON.parse(dry);
  return { apiVersion, kind, metadata: { name, namespace, annotations: metadata.annotations }, spec: change(spec) };
}

const withoutNetAdmin = (spec: Pod['spec']): Pod['spec'] => JSON.parse(JSON.stringify(spec).replace('"NET_ADMIN"', ''));

/** A container that runs before ours puts in rules that do not work beside ours. */
function withSynproxy(spec: Pod['spec']): Pod['spec'] {
  const rule = 'tcp dport 80 ct state invalid,untracked synproxy mss 1460 wscale 7 timestamp sack-perm';
  const [ours] = spec.initContainers ?? [];
  const earlier = {
    name: 'earlier',
    image: ours?.image ?? '',
    securityContext: { runAsUser: 0, capabilities: { add: ['NET_ADMIN'] } },
    command: [
      ...['nft', 'add table inet guard; add chain inet guard input { type filter hook input priority 0; };'],
      `add rule inet guard input ${rule}`,
    ],
  };
  return { ...spec, initContainers: [earlier, ...(spec.initContainers ?? [])] };
}

/** A server that sends back what it is sent. */
const ECHO = `require('node:net').createServer((one) => one.pipe(one)).listen(8000); process.on('SIGTERM', () => process.exit(0))`;

/** Connects to it. @returns a function that sends a line and waits until that is back, and one that closes */
function connectTo(host: string) {
  const socket = connect(8000, host);
  const broken = new Promise<never>((_, reject) => {
    socket.on('error', reject).on('close', () => reject(new Error('the connection is closed')));
  });
  broken.catch(() => undefined);
  return {
    echoed: (line: string) =>
      Promise.race([
        broken,
        new Promise<string>((resolve) => {
          socket.once('data', (data) => resolve(data.toString())).write(line);
        }),
      ]),
    close: () => socket.destroy(),
  };
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
});

t.test(
  'a checker that is started again installs again, and neither application nor connections notice',
  { skip },
  async (t) => {
    const namespace = await optedInNamespace(t);
    await apply(barePod(namespace, 'echo', { containers: [appContainer('app', ECHO)] }));
    const before = await guarded(namespace, 'echo');
    const connection = connectTo(before.status.podIP ?? '');
    t.teardown(connection.close);
    t.equal(await connection.echoed('before'), 'before');
    process.kill(await pidOfContainer(before, CHECKER_CONTAINER), 'SIGKILL');
    await flushPod(namespace, 'echo');
    t.equal(await connection.echoed('while it is away'), 'while it is away');
    await eventually('it was started again', async () =>
      restartsOf(await getPod(namespace, 'echo'), CHECKER_CONTAINER),
    );
    const after = await guarded(namespace, 'echo');
    t.equal(await connection.echoed('after'), 'after');
    t.equal(restartsOf(after, 'app'), 0);
    const events = await logEvents(namespace, 'echo', CHECKER_CONTAINER);
    t.ok(events.includes('family'), `the new one has installed: ${events.join()}`);
  },
);

t.test('a pod that gets a new network namespace is guarded again', { skip }, async (t) => {
  const namespace = await optedInNamespace(t);
  await apply(barePod(namespace, 'anew'));
  const before = await guarded(namespace, 'anew');
  await killProcess(before, '/pause');
  const after = await eventually('the sidecar has been started again', async () => {
    const pod = await getPod(namespace, 'anew');
    return pod.status.podIP !== before.status.podIP && restartsOf(pod, CHECKER_CONTAINER) > 0 && pod;
  });
  t.not(after.status.podIP, before.status.podIP);
  await guarded(namespace, 'anew');
});

t.test('a sidecar of ours that is killed at its work is run again before anything starts', { skip }, async (t) => {
  const namespace = await optedInNamespace(t);
  const [pod] = await create<Pod>(barePod(namespace, 'init', GATE));
  if (!pod) throw new Error('not created');
  const kill = killProcess(pod, 'check.js');
  await kubectl(['patch', 'pod', 'init', '-n', namespace, '--type=merge', '-p', '{"spec":{"schedulingGates":null}}']);
  await kill;
  const after = await guarded(namespace, 'init');
  t.equal(restartsOf(after, CHECKER_CONTAINER), 1);
  t.equal(restartsOf(after, 'app'), 0);
});

/** Waits until our container has failed twice. No container of the application has ever been started then. */
async function heldBack(t: Test, namespace: string, name: string): Promise<void> {
  const pod = await eventually('our container has failed twice', async () => {
    const now = await getPod(namespace, name);
    return restartsOf(now, CHECKER_CONTAINER) > 0 && now;
  });
  t.equal(pod.status.phase, 'Pending');
  for (const { name, state, lastState } of pod.status.containerStatuses ?? []) {
    t.match(state, { waiting: { reason: 'PodInitializing' } }, name);
    t.same(lastState, {}, `${name} has never run`);
  }
}

t.test('enforce: a pod whose rule cannot be installed does not start, and one line says why', { skip }, async (t) => {
  const namespace = await optedInNamespace(t);
  await create(await injectedPod(namespace, 'held', {}, withoutNetAdmin));
  await heldBack(t, namespace, 'held');
  const log = await kubectl(['logs', 'held', '-c', CHECKER_CONTAINER, '-n', namespace]);
  const errors = log
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
    .filter(({ level }) => level === 'error');
  t.equal(errors.length, 1);
  t.match(errors[0], { code: /^[A-Z_]+$/, message: /NET_ADMIN/ });
  await eventually('coverage says altered', async () => (await coverageReasons(namespace))['altered'] === 1);
});

t.test(
  'enforce: where another rule is in the way, kubectl describe and coverage say why the pod does not start',
  { skip },
  async (t) => {
    const namespace = await optedInNamespace(t);
    await create(await injectedPod(namespace, 'held', {}, withSynproxy));
    await heldBack(t, namespace, 'held');
    const described = await kubectl(['describe', 'pod', 'held', '-n', namespace]);
    t.match(
      described,
      /Last State: +Terminated\n +Reason: +Error\n +Message: [\s\S]*this pod uses SYNPROXY[\s\S]*Exit Code: +1\n/,
    );
    t.match(described, /Warning +FailedPostStartHook/);
    await eventually('coverage says so', async () => (await coverageReasons(namespace))['install-failed'] === 1);
  },
);

t.test('observe: pods start without the rule, and their checker and coverage report it', { skip }, async (t) => {
  const namespace = await optedInNamespace(t);
  const observe = { 'invalid-drop.io/mode': 'observe' };
  const changes = { 'without-net-admin': withoutNetAdmin, 'with-synproxy': withSynproxy };
  for (const [name, change] of Object.entries(changes)) {
    await create(await injectedPod(namespace, name, observe, change));
    const pod = await waitReady(namespace, name);
    t.ok(isInjected(pod), name);
    t.equal(restartsIn(pod), 0, name);
    t.match(await askChecker(namespace, name, '/metrics'), /^invalid_drop_ready 1$/m);
    t.notMatch(await podRuleset(namespace, name), /table ip6? mangle/, name);
  }
  const events = await logEvents(namespace, 'without-net-admin', CHECKER_CONTAINER);
  t.ok(events.includes('check-failed'), events.join());
  await eventually('coverage says so', async () => {
    const { altered, 'observe-mode': observed } = await coverageReasons(namespace);
    return altered === 1 && observed === 1;
  });
});

/** So little that it is at its start for many seconds. */
const STARVED = { 'invalid-drop.io/checker-resources': 'cpu=1m:1m' };

t.test('observe: a checker that does not answer, or is killed, holds nothing back', { skip }, async (t) => {
  const namespace = await optedInNamespace(t);
  await apply(barePod(namespace, 'slow', {}, { annotations: { 'invalid-drop.io/mode': 'observe', ...STARVED } }));
  await waitReady(namespace, 'slow');
  t.notMatch(await podRuleset(namespace, 'slow'), /drop/, 'it has not installed yet');
  await killContainer(namespace, 'slow', CHECKER_CONTAINER);
  t.equal(restartsOf(await waitReady(namespace, 'slow'), 'app'), 0);
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
