// Our webhook against Istio's own injector: the same pod, the same client, in turns. Each as it is installed, which is
// two replicas of ours and one istiod with threads for all processors; and one replica of ours alone.
import { OWN_NAMESPACE } from '../../lib/contract.ts';
import type { Tell } from '../../test/harness/progress-line.ts';
import type { Layout } from '../../tools/cluster/cluster-layout.ts';
import { ISTIO_NAMESPACE } from '../../tools/mesh/istio-installation.ts';
import type { Api, ApiJson } from '../cluster/bench-api.ts';
import { podsOf } from '../cluster/bench-pods.ts';
import { programOf } from '../cluster/webhook-replicas.ts';
import { type Figure, type Goal, makeFigure } from '../figure.ts';
import { type HttpsLoad, type HttpsTarget, load } from '../https-load.ts';
import { readCpuSeconds } from '../proc-numbers.ts';
import { median } from '../samples.ts';
import { review } from '../webhook-bench.ts';

const CONNECTIONS = 16;
/** One for each replica of ours. */
const THREADS = 2;
const SECONDS = 3;
const ROUNDS = 5;
/** Until V8 has compiled what is hot. */
const WARM_UP = 3;

interface Injector extends HttpsTarget {
  pids: number[];
}

interface Sample extends HttpsLoad {
  /** Microseconds of CPU for an admission, of all its processes together. */
  cpu: number;
}

/** @param namespace one that both inject */
export async function benchInjectors(api: Api, layout: Layout, namespace: string, tell: Tell): Promise<Figure[]> {
  const whole = await review();
  const object = { ...whole.request.object, metadata: { ...whole.request.object.metadata, namespace } };
  const body = JSON.stringify({ ...whole, request: { ...whole.request, namespace, object } });
  const find = (where: string, selector: string, program: string) => findPods(api, layout, where, selector, program);
  const ours = {
    ...(await find(OWN_NAMESPACE, 'app.kubernetes.io/component=webhook', 'webhook.js')),
    port: 8443,
    path: '/mutate',
  };
  const injectors = {
    ours,
    one: { ...ours, hosts: ours.hosts.slice(0, 1), pids: ours.pids.slice(0, 1) },
    istio: { ...(await find(ISTIO_NAMESPACE, 'app=istiod', 'pilot-discovery')), port: 15017, path: '/inject' },
  };
  const samples = { ours: [] as Sample[], one: [] as Sample[], istio: [] as Sample[] };
  for (let round = 1 - WARM_UP; round <= ROUNDS; round++) {
    tell(`webhook against Istio's injector: round ${round} of ${ROUNDS}`);
    for (const name of ['ours', 'one', 'istio'] as const) {
      const measured = await sample(injectors[name], body);
      if (round > 0) samples[name].push(measured);
    }
  }
  const middle = (who: keyof typeof samples, key: keyof Sample) => median(samples[who].map((one) => one[key]));
  const figure = (name: string, unit: string, key: keyof Sample, goal?: Goal, who: 'ours' | 'one' = 'ours') =>
    makeFigure({
      name: `webhook against Istio's injector, ${name}`,
      unit,
      value: middle(who, key),
      reference: middle('istio', key),
      ...(goal && { goal }),
    });
  return [
    figure(`admissions (${ours.pids.length} replicas, 1 istiod)`, 'per second', 'perSecond', 'ratio >= 40'),
    figure('p50', 'ms', 'p50'),
    figure('p99', 'ms', 'p99', 'ratio <= 1'),
    figure('admissions of one replica', 'per second', 'perSecond', undefined, 'one'),
    figure('CPU of an admission', 'us', 'cpu'),
  ];
}

async function findPods(api: Api, layout: Layout, namespace: string, selector: string, program: string) {
  const { items } = await api.ask('GET', `${podsOf(namespace)}?labelSelector=${encodeURIComponent(selector)}`);
  const running = items.filter(
    ({ metadata, status }: ApiJson) => !metadata.deletionTimestamp && status.phase === 'Running',
  );
  const pids = running.map(({ metadata }: ApiJson) => programOf(layout, namespace, metadata.name, program));
  return { hosts: running.map(({ status }: ApiJson) => status.podIP), pids: await Promise.all(pids) };
}

async function sample(injector: Injector, body: string): Promise<Sample> {
  const before = await cpuOf(injector.pids);
  const measured = await load(injector, body, { threads: THREADS, connections: CONNECTIONS, seconds: SECONDS });
  const seconds = (await cpuOf(injector.pids)) - before;
  return { ...measured, cpu: (seconds / (measured.perSecond * SECONDS)) * 1e6 };
}

async function cpuOf(pids: number[]): Promise<number> {
  const all = await Promise.all(pids.map(readCpuSeconds));
  return all.reduce((sum, seconds) => sum + seconds, 0);
}
