// Our webhook against Istio's own injector: the same pod, the same client, in turns.
import { fileURLToPath } from 'node:url';
import { OWN_NAMESPACE } from '../../init-image/contract.ts';
import { must } from '../../test/kernel/processes.ts';
import { ISTIO_NAMESPACE } from '../../test/mesh/objects.ts';
import type { Api, Json } from '../cluster/api.ts';
import { podsOf } from '../cluster/pods.ts';
import { type Figure, type Goal, makeFigure } from '../figure.ts';
import type { Load } from '../inside/load.ts';
import type { Tell } from '../progress.ts';
import { median } from '../statistics.ts';
import { review } from '../webhook.ts';

const LOAD = fileURLToPath(new URL('../inside/load.ts', import.meta.url));
const CONNECTIONS = '16';
const SECONDS = '3';
const ROUNDS = 5;
/** Until V8 has compiled what is hot. */
const WARM_UP = 3;

/** @param namespace one that both inject */
export async function benchInjectors(api: Api, namespace: string, tell: Tell): Promise<Figure[]> {
  const whole = await review();
  const object = { ...whole.request.object, metadata: { ...whole.request.object.metadata, namespace } };
  const body = JSON.stringify({ ...whole, request: { ...whole.request, namespace, object } });
  const ours = [await addressOf(api, OWN_NAMESPACE, 'app.kubernetes.io/component=webhook'), '/mutate'] as const;
  const istio = [await addressOf(api, ISTIO_NAMESPACE, 'app=istiod'), '/inject'] as const;
  const samples = { ours: [] as Load[], istio: [] as Load[] };
  for (let round = 1 - WARM_UP; round <= ROUNDS; round++) {
    tell(`webhook against Istio's injector: round ${round} of ${ROUNDS}`);
    const one = await load(...ours, '8443', body);
    const other = await load(...istio, '15017', body);
    if (round < 1) continue;
    samples.ours.push(one);
    samples.istio.push(other);
  }
  const figure = (name: string, unit: string, key: keyof Load, goal?: Goal) =>
    makeFigure({
      name: `webhook against Istio's injector, ${name}`,
      unit,
      value: median(samples.ours.map((one) => one[key])),
      reference: median(samples.istio.map((one) => one[key])),
      ...(goal && { goal }),
    });
  return [
    figure('admissions', 'per second', 'perSecond', 'ratio >= 40'),
    figure('p50', 'ms', 'p50'),
    figure('p99', 'ms', 'p99', 'ratio <= 1'),
  ];
}

async function addressOf(api: Api, namespace: string, selector: string): Promise<string> {
  const { items } = await api.ask('GET', `${podsOf(namespace)}?labelSelector=${encodeURIComponent(selector)}`);
  const ready = items.find(({ metadata, status }: Json) => !metadata.deletionTimestamp && status.phase === 'Running');
  return ready.status.podIP;
}

async function load(host: string, path: string, port: string, body: string): Promise<Load> {
  const printed = await must(process.execPath, [LOAD, port, CONNECTIONS, SECONDS, host, path], { input: body });
  return JSON.parse(printed) as Load;
}
