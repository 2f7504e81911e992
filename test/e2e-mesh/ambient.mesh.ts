// Istio's ambient mode: the real istio-cni with its agent, which writes the rules into each pod, and a stand-in for
// ztunnel. What becomes of plaintext and of HBONE when segments are moved, in a pod without us and in one with us, in both
// modes; the probes; and guarded pods that leave the ambient mode and come back.
import t, { type Test as Tap } from 'tap';
import { OPT_IN_LABEL } from '../../lib/contract.ts';
import { apply } from '../harness/cluster/kubectl.ts';
import { DROPS, installNodeMode, optIn, removeAgents, waitCondition } from '../harness/cluster/node-agents.ts';
import { PodPrograms, podRuleset, skipWithoutNode } from '../harness/cluster/node-side.ts';
import { askChecker, barePod, isInjected, type Pod, waitReady } from '../harness/cluster/pod-status.ts';
import { uploadFrom } from '../harness/cluster/redirected-pod.ts';
import { plainNamespace } from '../harness/cluster/test-workloads.ts';
import { install } from '../harness/cluster/webhook-installation.ts';
import {
  ambientNamespace,
  HBONE,
  isRedirected,
  probesLetThrough,
  setAmbient,
  startZtunnel,
} from '../harness/mesh/ambient-pods.ts';
import { changeMesh } from '../harness/mesh/change-mesh.ts';
import { withStrays } from '../harness/mesh/gateway-uploads.ts';
import { sendRequests } from '../harness/mesh/mesh-requests.ts';
import { limitWindows, withMovedSegments } from '../harness/mesh/moved-segments.ts';
import { storePod } from '../harness/mesh/object-store.ts';
import { must } from '../harness/netns/processes.ts';
import type { ProgramRunner } from '../harness/netns/stray-segments.ts';
import { eventually } from '../harness/wait-until.ts';

const skip = skipWithoutNode;
const READY_LIMIT = 120_000;
const UPLOADS = { count: 6, bytes: 60_000_000, every: 100 };
/** Segments are moved by more than the windows, and by less than two. */
const ROOM = 128 * 1024;
const REQUESTS = { sent: 8000, received: 8000, count: 400, connections: 16, limit: 10_000 };
const MOVED = { offset: ROOM, every: 20 };

/** By path to the pod. What a program of the node sends counts as a probe: istio-cni lets it through to the application. */
const PATHS = { plaintext: 9000, HBONE, 'from the node': 9000 } as const;
type Path = keyof typeof PATHS | 'from the node';
const GUARDS = ['nothing', 'pod', 'node'] as const;
type Guard = (typeof GUARDS)[number];

/** This process is in the node's network. */
const host: ProgramRunner = { must: (command, args = [], options) => must(command, args, options) };

let sender: PodPrograms;

t.before(async () => {
  if (skip) return;
  await installNodeMode();
  await changeMesh({ dataplane: 'ambient' });
  const ztunnel = await startZtunnel();
  t.teardown(() => ztunnel.stop());
  const namespace = await plainNamespace(t);
  await apply(barePod(namespace, 'sender'));
  await waitReady(namespace, 'sender', READY_LIMIT);
  sender = new PodPrograms(namespace, 'sender');
});
t.teardown(async () => {
  if (skip) return;
  await changeMesh({});
  await removeAgents();
  await install();
});

/** A pod of the ambient mode, guarded by a container, from its node, or by nothing. */
async function startPod(t: Tap, guard: Guard): Promise<Pod> {
  const namespace = await ambientNamespace(t, guard === 'nothing' ? {} : { [OPT_IN_LABEL]: guard });
  await apply(storePod(namespace, 'store'));
  const pod = await waitReady(namespace, 'store', READY_LIMIT);
  t.equal(isInjected(pod), guard === 'pod');
  if (guard === 'node') await waitCondition(namespace, 'store', { status: 'True', reason: 'Guarded' });
  t.ok(await isRedirected(namespace, 'store'), 'istio-cni has put its rules in');
  return pod;
}

/** Uploads while some segments are moved far out of the window. @returns how many failed */
async function failedUploads(t: Tap, pod: Pod, path: Path): Promise<number> {
  const { count, bytes, every } = UPLOADS;
  const port = PATHS[path];
  const from = path === 'from the node' ? host : sender;
  const work = () => uploadFrom(from, pod.status.podIP ?? '', bytes, count, port);
  const { result, strays } = await withStrays(from, work, every, port);
  const errors = result.flatMap(({ error }) => error ?? []);
  t.ok(strays >= count, `${strays} stray segments`);
  const reset = errors.filter((error) => error === 'ECONNRESET' || error === 'EPIPE').length;
  t.equal(errors.length, reset, errors.join(', '));
  t.comment(`${t.name}\t${path}\tuploads\t${count - reset} fine\t${reset} reset\t${strays} segments moved far`);
  return reset;
}

/** Small requests while some segments are moved by a little more than a window. */
async function nearRequests(t: Tap, pod: Pod, path: 'plaintext' | 'HBONE') {
  const { namespace, name } = pod.metadata;
  await limitWindows(new PodPrograms(namespace, name), ROOM);
  const plan = { ...REQUESTS, port: PATHS[path] };
  const which = `ip daddr ${pod.status.podIP} tcp dport ${plan.port}`;
  const { result, moved } = await withMovedSegments(sender, { ...MOVED, which }, () =>
    sendRequests(sender, pod.status.podIP ?? '', name, plan),
  );
  const { fine, reset, stuck } = result;
  t.ok(moved > 0, 'segments were moved');
  t.comment(`${t.name}\t${path}\trequests\t${fine} fine\t${reset} reset\t${stuck} stuck\t${moved} segments moved near`);
  return { fine, reset, stuck };
}

for (const guard of GUARDS) {
  t.test(`guarded by ${guard}`, { skip }, async (t) => {
    const pod = await startPod(t, guard);
    const { namespace } = pod.metadata;
    t.ok((await probesLetThrough(namespace, 'store')) > 0, "the kubelet's probes are not redirected");
    const plaintext = await failedUploads(t, pod, 'plaintext');
    t.equal(plaintext, guard === 'nothing' ? UPLOADS.count : 0, 'uploads of plaintext that were reset');
    // Not redirected: a stray segment meets the socket of its own connection.
    t.equal(await failedUploads(t, pod, 'HBONE'), 0, 'uploads to 15008 that were reset');
    t.equal(await failedUploads(t, pod, 'from the node'), 0, 'uploads from the node that were reset');
    const requests = await nearRequests(t, pod, 'plaintext');
    if (guard === 'nothing') t.ok(requests.reset > 0, 'some requests are reset');
    else t.strictSame(requests, { fine: REQUESTS.count, reset: 0, stuck: 0 });
    t.strictSame(await nearRequests(t, pod, 'HBONE'), { fine: REQUESTS.count, reset: 0, stuck: 0 });
    if (guard !== 'nothing') await leavesAndComesBack(t, pod, guard);
  });
}

/** istio-cni removes its rules and puts them in again, and ours stay; then ours go, and istio-cni's stay. */
async function leavesAndComesBack(t: Tap, pod: Pod, guard: 'pod' | 'node'): Promise<void> {
  const { namespace, name } = pod.metadata;
  await setAmbient(namespace, name, false);
  t.notOk(await isRedirected(namespace, name), 'istio-cni has removed its rules');
  t.match(await podRuleset(namespace, name), DROPS, 'our rule is still there');
  await isGuarded(t, pod, guard);
  await setAmbient(namespace, name, true);
  t.ok(await isRedirected(namespace, name), 'and put them in again');
  await isGuarded(t, pod, guard);
  t.equal(await failedUploads(t, pod, 'plaintext'), 0, 'uploads that were reset after that');
  if (guard === 'pod') return;
  await optIn(namespace, null);
  await eventually('our rule is gone', async () => !DROPS.test(await podRuleset(namespace, name)));
  t.ok(await isRedirected(namespace, name), "istio-cni's rules are still there");
}

async function isGuarded(t: Tap, { metadata: { namespace, name } }: Pod, guard: 'pod' | 'node'): Promise<void> {
  if (guard === 'node') {
    await waitCondition(namespace, name, { status: 'True', reason: 'Guarded' });
    return;
  }
  // Through the API server, whose connections to the pod count as probes too.
  const report = JSON.parse(await askChecker(namespace, name, '/selfcheck')) as { guarded: boolean };
  t.equal(report.guarded, true);
  await waitReady(namespace, name);
}
