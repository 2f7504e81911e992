// The whole cure: what becomes of connections whose segments are moved ahead of their windows, in a pod without us, in
// one with Istio's rule alone, and in one with us. In both directions: to the pod, through gateway and sidecar, where the
// gateway's segments are moved; and from the pod, through its sidecar to a server, where the server's are.
import t, { type Test as Tap } from 'tap';
import type { CheckerReport } from '../../lib/checker/checker-report.ts';
import { PORT, podAnnotations } from '../../tools/mesh/istio-installation.ts';
import { apply, getJson } from '../harness/cluster/kubectl.ts';
import { PodPrograms, podRuleset, skipWithoutNode } from '../harness/cluster/node-side.ts';
import { askChecker, isInjected, type Pod } from '../harness/cluster/pod-status.ts';
import { install } from '../harness/cluster/webhook-installation.ts';
import { gatewayPod, LARGE } from '../harness/mesh/gateway-uploads.ts';
import { type RequestCounts, type RequestPlan, sendRequests } from '../harness/mesh/mesh-requests.ts';
import { largestWindow, limitWindows, type MovedSegments, withMovedSegments } from '../harness/mesh/moved-segments.ts';
import { meshNamespace, runStore } from '../harness/mesh/object-store.ts';
import { makeProgress } from '../harness/progress-line.ts';
import { eventually } from '../harness/wait-until.ts';

const skip = skipWithoutNode;
const tell = makeProgress(process.stderr);
const KIB = 1024;
const MIB = 1024 * KIB;

type Direction = 'to the pod' | 'from the pod';

interface Traffic extends Omit<MovedSegments, 'which'>, Omit<RequestPlan, 'count'> {
  name: string;
  direction: Direction;
  /** Bytes that one socket of the pod may hold, which its windows are less than. */
  room: number;
}

/** The windows are 65,000 to 115,000 bytes here: most segments are 20,000 to 60,000 bytes over them. */
const REQUESTS = (['to the pod', 'from the pod'] as const).map(
  (direction): Traffic => ({
    ...{ name: `small requests ${direction}`, direction, sent: 8000, received: 8000, connections: 16, limit: 10_000 },
    ...{ room: 128 * KIB, offset: 128 * KIB, every: 20 },
  }),
);

const MOVES = [
  { distance: 'near', offset: 2 * MIB, every: 200 },
  { distance: 'far', offset: 1024 * MIB, every: 500 },
];
const transfer = (name: string, direction: Direction, sent: number, received: number) =>
  MOVES.map(
    ({ distance, ...move }): Traffic => ({
      ...{ name: `${name}, ${distance}`, direction, sent, received, connections: 1, limit: 30_000 },
      ...{ room: 2 * MIB, ...move },
    }),
  );
const UPLOADS = transfer('uploads', 'to the pod', LARGE, 2);
const DOWNLOADS = transfer('downloads', 'from the pod', 2, LARGE);

let gateway: Pod;
let server: Pod;
let serverAddress = '';

t.before(async () => {
  if (skip) return;
  await install();
  gateway = await gatewayPod();
  const namespace = await meshNamespace(t, false);
  server = await runStore(namespace, 'server');
  const service = await getJson<{ spec: { clusterIP: string } }>('service', 'server', '-n', namespace);
  serverAddress = service.spec.clusterIP;
  // A sidecar tries again by default, which would hide resets.
  const host = `${hostOf(server)}.svc.cluster.local`;
  const route = [{ destination: { host, port: { number: PORT } } }];
  await apply({
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name: 'no-retries', namespace },
    spec: { hosts: [host], gateways: ['mesh'], http: [{ route, retries: { attempts: 0 } }] },
  });
});

const programsOf = ({ metadata: { namespace, name } }: Pod) => new PodPrograms(namespace, name);
const hostOf = ({ metadata: { namespace, name } }: Pod) => `${name}.${namespace}`;

/** Makes a pod whose windows are small from its first connection on, and waits until its Envoys pass requests on. */
async function startPod(t: Tap, optedIn: boolean, annotations?: Record<string, string>): Promise<Pod> {
  const pod = await runStore(await meshNamespace(t, optedIn), 'store', annotations);
  t.equal(isInjected(pod), optedIn);
  for (const traffic of REQUESTS) {
    await limitWindows(programsOf(pod), traffic.room);
    const passedOn = async () => (await send(pod, { ...traffic, count: 1 })).fine === 1;
    await eventually(`${traffic.name} are answered`, passedOn);
  }
  return pod;
}

/** To the pod: from the node, to the gateway. From the pod: to the server's Service. */
function send(pod: Pod, plan: Traffic & RequestPlan, told?: (ended: number) => void): Promise<RequestCounts> {
  return plan.direction === 'to the pod'
    ? sendRequests(undefined, gateway.status.podIP ?? '', hostOf(pod), plan, told)
    : sendRequests(programsOf(pod), serverAddress, hostOf(server), plan, told);
}

/** Sends as many requests while segments to the pod are moved, and says what became of them. */
async function sendMoved(t: Tap, pod: Pod, traffic: Traffic, count: number): Promise<RequestCounts> {
  const { name, direction, room, offset } = traffic;
  await limitWindows(programsOf(pod), room);
  const [sender, port] = direction === 'to the pod' ? [gateway, 'dport'] : [server, 'sport'];
  const which = `ip daddr ${pod.status.podIP} tcp ${port} ${PORT}`;
  const { result, moved } = await withMovedSegments(programsOf(sender), { ...traffic, which }, () =>
    send(pod, { ...traffic, count }, (ended) => tell(`${t.name}, ${name}: ${ended} of ${count}`)),
  );
  tell('');
  const { fine, reset, stuck } = result;
  t.comment(`${t.name}\t${name}\t${fine} fine\t${reset} reset\t${stuck} stuck\t${moved} segments moved`);
  // An Envoy may go on with a connection that hangs from before, on which nothing is sent any more.
  t.ok(moved > 0 || stuck === count, 'segments were moved');
  const window = await largestWindow(programsOf(pod));
  t.ok(window < offset, `a window of ${window}`);
  return result;
}

t.test('without us', { skip }, async (t) => {
  const pod = await startPod(t, false);
  for (const traffic of [...REQUESTS, ...UPLOADS, ...DOWNLOADS]) {
    const count = REQUESTS.includes(traffic) ? 1000 : 2;
    const { fine, reset, stuck } = await sendMoved(t, pod, traffic, count);
    t.equal(stuck, 0, 'none is stuck');
    // What the pod opened is not redirected: the segments meet their own socket.
    if (traffic.direction === 'to the pod') t.ok(reset > 0, 'some are reset');
    else t.equal(fine, count, 'none is reset');
  }
});

t.test("Istio's rule alone", { skip }, async (t) => {
  const invalidDrop = { interception: 'REDIRECT', nativeSidecars: true, invalidDrop: true, dualStack: false } as const;
  const pod = await startPod(t, false, podAnnotations(invalidDrop));
  t.match(await podRuleset(pod.metadata.namespace, pod.metadata.name), /ISTIO_DROP/);
  for (const traffic of [...REQUESTS, ...UPLOADS, ...DOWNLOADS]) {
    // Each that is stuck takes its whole limit.
    const { reset, stuck } = await sendMoved(t, pod, traffic, REQUESTS.includes(traffic) ? 200 : 2);
    t.equal(reset, 0, 'none is reset');
    if (REQUESTS.includes(traffic)) t.ok(stuck > 0, 'some are stuck');
  }
});

t.test('with us', { skip }, async (t) => {
  const pod = await startPod(t, true);
  for (const traffic of [...REQUESTS, ...UPLOADS, ...DOWNLOADS]) {
    const count = REQUESTS.includes(traffic) ? 3000 : 5;
    const { fine, reset, stuck, errors } = await sendMoved(t, pod, traffic, count);
    t.strictSame({ fine, reset, stuck, errors }, { fine: count, reset: 0, stuck: 0, errors: [] });
  }
  const page = await askChecker(pod.metadata.namespace, pod.metadata.name, '/selfcheck');
  const { rescued, failed } = (JSON.parse(page) as CheckerReport).strays;
  t.ok(rescued > 0, `${rescued} connections were rescued`);
  t.comment(`${failed} rescues failed`);
});
