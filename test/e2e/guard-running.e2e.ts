// An operator guards pods that run already, under traffic, without restarting them.

import { readFile } from 'node:fs/promises';
import { loadYaml } from '@kubernetes/client-node';
import t, { type Test } from 'tap';
import { OPT_IN_LABEL } from '../../lib/contract.ts';
import { runCli } from '../harness/cluster/cli-run.ts';
import { apply, kubectl } from '../harness/cluster/kubectl.ts';
import {
  flushPod,
  killContainer,
  killProcess,
  nodeRules,
  PodPrograms,
  podRuleset,
  restartsOf,
  skipWithoutNode,
} from '../harness/cluster/node-side.ts';
import { barePod, getPod, type Pod, waitReady } from '../harness/cluster/pod-status.ts';
import { beginUpload, endUpload, redirectedPod, uploadFrom } from '../harness/cluster/redirected-pod.ts';
import { optedInNamespace, plainNamespace } from '../harness/cluster/test-workloads.ts';
import { tokenKubeconfig } from '../harness/cluster/token-kubeconfig.ts';
import { askWebhook, install } from '../harness/cluster/webhook-installation.ts';
import { countStrays, startStrays, stopStrays } from '../harness/netns/stray-segments.ts';
import { eventually } from '../harness/wait-until.ts';

const DOCUMENT = new URL('../../docs/running-pods.md', import.meta.url);
const LEVEL = 'pod-security.kubernetes.io/enforce';
const DROP = /ct state invalid.* drop/;
const MB = 1_000_000;
const EVERY = 20;

t.before(() => install());

/** Runs the command as an operator does. @returns exit code, table, and what it printed on standard error */
async function guard(args: string[], env: Record<string, string> = {}) {
  const { exitCode, stdout, stderr } = await runCli(['guard', ...args], { env });
  const outcomes = Object.fromEntries(
    [...stdout.matchAll(/^\S+ +(\S+) +([a-z-]+) {2,}(.*)$/gm)].map(([, pod, outcome, meaning]) => [
      pod,
      `${outcome}: ${meaning}`,
    ]),
  );
  return { exitCode, stdout, stderr, outcomes };
}

async function reasonsIn(namespace: string): Promise<Record<string, number>> {
  return JSON.parse(await askWebhook(`/coverage?namespace=${namespace}`)).reasons;
}

const optIn = (namespace: string) => kubectl(['label', 'namespace', namespace, `${OPT_IN_LABEL}=enabled`]);

const covered = (namespace: string, reasons: object) =>
  eventually(`coverage of ${namespace} is ${JSON.stringify(reasons)}`, async () => {
    const now = await reasonsIn(namespace);
    if (JSON.stringify(now) !== JSON.stringify(reasons)) throw new Error(JSON.stringify(now));
    return true;
  });

/** A namespace that was opted in after its pods were made; all of them are Ready. */
async function olderPods(t: Test, ...names: string[]): Promise<string> {
  const namespace = await plainNamespace(t);
  for (const name of names) await apply(barePod(namespace, name));
  for (const name of names) await waitReady(namespace, name);
  await optIn(namespace);
  return namespace;
}

function restarts(pod: Pod): number {
  return (pod.status.containerStatuses ?? []).reduce((sum, { name }) => sum + restartsOf(pod, name), 0);
}

const ephemeralNames = (pod: Pod) =>
  ((pod.spec['ephemeralContainers'] ?? []) as { name: string }[]).map(({ name }) => name);

t.test(
  'under traffic: resets before, none after, and no upload in flight is cut',
  { skip: skipWithoutNode },
  async (t) => {
    const namespace = await plainNamespace(t);
    await apply(barePod(namespace, 'sender'));
    const store = await redirectedPod(namespace, 'store');
    const address = store.status.podIP ?? '';
    await waitReady(namespace, 'sender');
    const sender = new PodPrograms(namespace, 'sender');
    await optIn(namespace);
    await covered(namespace, { 'created-before-opt-in': 2 });

    t.match(await uploadFrom(sender, address, 30 * MB, 2), [{ ok: true }, { ok: true }], 'clean uploads pass');
    await startStrays(sender, EVERY);
    for (const { ok, error } of await uploadFrom(sender, address, 30 * MB, 3)) {
      t.equal(ok, false, 'reset without the rule');
      t.match(error, /ECONNRESET|EPIPE/);
    }
    await stopStrays(sender);

    const inFlight = await Promise.all([1, 2, 3].map(() => beginUpload(sender, address)));
    const { exitCode, outcomes, stderr } = await guard([`${namespace}/store`]);
    t.equal(exitCode, 0, stderr);
    t.match(outcomes, { store: /^guarded: .*\(by invalid-drop-guard-1\)/ });
    t.match(await podRuleset(namespace, 'store'), DROP);
    await startStrays(sender, EVERY);
    await eventually(
      'segments of the uploads in flight were shifted',
      async () => (await countStrays(sender)) > 5 || inFlight.every(({ closed }) => closed),
    );
    for (const upload of inFlight) {
      const { sent, received, error } = await endUpload(upload);
      t.equal(error, undefined);
      t.equal(received, sent, `${sent} bytes in flight before, during and after`);
    }
    const before = await countStrays(sender);
    for (const { ok, error } of await uploadFrom(sender, address, 30 * MB, 10)) t.equal(ok, true, error ?? 'passes');
    t.ok((await countStrays(sender)) > before, 'there were stray segments');
    const after = await getPod(namespace, 'store');
    t.equal(restarts(after), 0, 'nothing was restarted');
    t.equal(after.status.podIP, address);
    await covered(namespace, { 'guarded-while-running': 1, 'created-before-opt-in': 1 });
  },
);

t.test(
  'every pod of a namespace; a pod that cannot be guarded is listed with the reason; a second run changes nothing',
  async (t) => {
    const namespace = await olderPods(t, 'a-0', 'a-1', 'a-2');
    await apply(
      barePod(
        namespace,
        'never',
        { nodeSelector: { 'e2e.invalid-drop.io/node': 'none' } },
        { annotations: { [OPT_IN_LABEL]: 'enabled' } },
      ),
    );
    await apply(barePod(namespace, 'out', {}, { annotations: { [OPT_IN_LABEL]: 'disabled' } }));
    await waitReady(namespace, 'out');
    const first = await guard(['--namespace', namespace]);
    t.equal(first.exitCode, 1, 'for one does not run');
    t.match(first.outcomes, {
      'a-0': /^guarded/,
      'a-1': /^guarded/,
      'a-2': /^guarded/,
      never: /^not-running: .*its phase is Pending/,
      out: /^opted-out/,
    });
    t.match(first.stdout, /\n3 of 5 pods are guarded\n$/);
    t.equal(first.stderr, '', 'quiet in a pipe');
    const before = await getPod(namespace, 'a-0');
    const second = await guard(['a-0', 'a-1', '--namespace', namespace]);
    t.equal(second.exitCode, 0);
    t.match(second.outcomes, { 'a-0': /^already-guarded: .*by invalid-drop-guard-1/, 'a-1': /^already-guarded/ });
    t.equal((await getPod(namespace, 'a-0')).metadata['resourceVersion'], before.metadata['resourceVersion']);
  },
);

t.test('a pod that the webhook has injected is guarded already', async (t) => {
  const namespace = await optedInNamespace(t);
  await apply(barePod(namespace, 'new'));
  await waitReady(namespace, 'new');
  const { exitCode, outcomes } = await guard([`${namespace}/new`, '--stay']);
  t.equal(exitCode, 0);
  t.match(outcomes, { new: /^already-guarded: .*by its checker/ });
  t.same(ephemeralNames(await getPod(namespace, 'new')), []);
});

t.test('--dry-run: the API server is asked, and nothing changes', async (t) => {
  const namespace = await olderPods(t, 'dry');
  const before = await getPod(namespace, 'dry');
  const { exitCode, outcomes, stdout } = await guard([`${namespace}/dry`, '--dry-run', '--stay']);
  t.equal(exitCode, 0, stdout);
  t.match(outcomes, { dry: /^would-guard/ });
  const after = await getPod(namespace, 'dry');
  t.equal(after.metadata['resourceVersion'], before.metadata['resourceVersion']);
  if (!skipWithoutNode) t.notMatch(await podRuleset(namespace, 'dry'), /invalid/);
});

t.test('Pod Security: the refusal is reported, on a dry run too', async (t) => {
  const namespace = await olderPods(t, 'strict');
  await kubectl(['label', 'namespace', namespace, `${LEVEL}=restricted`]);
  for (const flags of [['--dry-run'], []]) {
    const { exitCode, outcomes } = await guard([`${namespace}/strict`, ...flags]);
    t.equal(exitCode, 1);
    t.match(outcomes, { strict: /^pod-security: .*the namespace enforces "restricted:latest"/ });
  }
  t.same(ephemeralNames(await getPod(namespace, 'strict')), []);
});

t.test(
  "a pod on the host network is left alone, and the node's own rules too",
  { skip: skipWithoutNode },
  async (t) => {
    const rulesBefore = await nodeRules();
    const namespace = await plainNamespace(t);
    await apply(barePod(namespace, 'host', { hostNetwork: true }));
    await waitReady(namespace, 'host');
    const { exitCode, outcomes } = await guard([`${namespace}/host`, '--stay']);
    t.equal(exitCode, 1);
    t.match(outcomes, { host: /^host-network: the rule would apply to the node's network/ });
    t.same(ephemeralNames(await getPod(namespace, 'host')), []);
    t.same(await nodeRules(), rulesBefore);
  },
);

t.test('--stay: a checker stays and puts the rule back', { skip: skipWithoutNode }, async (t) => {
  const namespace = await olderPods(t, 'watched');
  const first = await guard([`${namespace}/watched`, '--stay']);
  t.equal(first.exitCode, 0, first.stdout);
  t.match(first.outcomes, { watched: /by invalid-drop-guard-1 and invalid-drop-guard-checker-1/ });
  await flushPod(namespace, 'watched');
  await eventually('the rule is back', async () => DROP.test(await podRuleset(namespace, 'watched')));
  await eventually('the checker says so', async () =>
    /"event":"repaired"/.test(
      await kubectl(['logs', 'watched', '-n', namespace, '-c', 'invalid-drop-guard-checker-1']),
    ),
  );
  await covered(namespace, { 'guarded-while-running': 1 });
  const second = await guard([`${namespace}/watched`, '--stay']);
  t.match(second.outcomes, { watched: /^already-guarded/ });
});

t.test(
  'the rule outlives containers, not the network of the pod; and it can be put in anew',
  { skip: skipWithoutNode },
  async (t) => {
    const namespace = await olderPods(t, 'anew');
    t.equal((await guard([`${namespace}/anew`])).exitCode, 0);
    await killContainer(namespace, 'anew', 'app');
    t.match(await podRuleset(namespace, 'anew'), DROP, 'a container was restarted');
    await covered(namespace, { 'guarded-while-running': 1 });

    const before = await getPod(namespace, 'anew');
    await killProcess(before, '/pause');
    await eventually(
      'the pod has another network',
      async () => (await getPod(namespace, 'anew')).status.podIP !== before.status.podIP,
    );
    await waitReady(namespace, 'anew');
    t.notMatch(await podRuleset(namespace, 'anew'), DROP);
    await covered(namespace, { 'created-before-opt-in': 1 });
    const again = await guard([`${namespace}/anew`]);
    t.match(again.outcomes, { anew: /^guarded: .*by invalid-drop-guard-2/ }, again.stdout);
    t.match(await podRuleset(namespace, 'anew'), DROP);
    await covered(namespace, { 'guarded-while-running': 1 });
  },
);

t.test('an install that fails is reported with its message, and after --max-failures no other begins', async (t) => {
  const namespace = await olderPods(t, 'a-0', 'a-1', 'a-2');
  const pod = await getPod(namespace, 'a-0');
  const image = pod.spec.containers[0]?.image ?? '';
  const args = ['--namespace', namespace, '--image', image, '--concurrency=1', '--max-failures=1'];
  const { exitCode, outcomes } = await guard(args);
  t.equal(exitCode, 1);
  t.match(outcomes, { 'a-0': /^install-failed: .*Cannot find module/, 'a-1': /^not-tried/, 'a-2': /^not-tried/ });
  await covered(namespace, { 'created-before-opt-in': 3 });
});

t.test('a missing image: what the container waits for is reported, and no second container is added', async (t) => {
  const namespace = await olderPods(t, 'pull');
  const args = [`${namespace}/pull`, '--image=localhost/invalid-drop/none:1', '--timeout=1s'];
  t.match((await guard(args)).outcomes, { pull: /^timed-out: .*invalid-drop-guard-1 after 1 s/ });
  await eventually('the kubelet says why', async () =>
    /ErrImagePull|ImagePullBackOff/.test(JSON.stringify((await getPod(namespace, 'pull')).status)),
  );
  t.match((await guard(args)).outcomes, { pull: /^timed-out: .*invalid-drop-guard-1 after 1 s: (ErrImage|ImagePull)/ });
  t.same(ephemeralNames(await getPod(namespace, 'pull')), ['invalid-drop-guard-1']);
  const right = await guard([`${namespace}/pull`]);
  t.match(right.outcomes, { pull: /^guarded: .*by invalid-drop-guard-2/ });
});

t.test('the permissions in the documentation are enough, and a missing one is named', async (t) => {
  const namespace = await olderPods(t, 'mine');
  const [, yaml = ''] = /```yaml\n([\s\S]*?)```/.exec(await readFile(DOCUMENT, 'utf8')) ?? [];
  const role = loadYaml<{ metadata: { name: string } }>(yaml);
  const { name } = role.metadata;
  t.teardown(() => kubectl(['delete', 'clusterrole', name, '--ignore-not-found']));
  await apply(role);
  await kubectl(['create', 'serviceaccount', 'operator', '-n', namespace]);
  const token = await kubectl(['create', 'token', 'operator', '-n', namespace]);
  const KUBECONFIG = await tokenKubeconfig(t, token);
  const args = ['--namespace', namespace];
  const denied = await guard(['mine', ...args, '--image=any:1'], { KUBECONFIG });
  t.match(denied.outcomes, { mine: /^forbidden: .*needs permission to get pods in namespace/ });
  const unlisted = await guard([...args, '--image=any:1'], { KUBECONFIG });
  t.equal(unlisted.exitCode, 2);
  t.match(unlisted.stderr, /RIGHT_MISSING: "system:serviceaccount:.*:operator" may not list pods in namespace/);
  const { stderr, exitCode } = await guard(['mine', ...args], { KUBECONFIG });
  t.equal(exitCode, 2);
  t.match(stderr, /GUARD_IMAGE_UNKNOWN: .*--image/);

  await bind(t, namespace, 'view');
  const reader = await guard(['mine', ...args, '--image=any:1'], { KUBECONFIG });
  t.match(reader.outcomes, { mine: /^forbidden: .*needs permission to patch pods\/ephemeralcontainers in namespace/ });
  await bind(t, namespace, name);
  const allowed = await guard(args, { KUBECONFIG });
  t.match(allowed.outcomes, { mine: /^guarded/ }, allowed.stderr);
});

async function bind(t: Test, namespace: string, role: string): Promise<void> {
  const name = `${namespace}-${role}`;
  t.teardown(() => kubectl(['delete', 'clusterrolebinding', name, '--ignore-not-found']));
  await kubectl([
    'create',
    'clusterrolebinding',
    name,
    `--clusterrole=${role}`,
    `--serviceaccount=${namespace}:operator`,
  ]);
}
