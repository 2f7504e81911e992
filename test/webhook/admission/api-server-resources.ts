// What the API server makes of a pod's resources: defaults, QoS class, refusals. Kubernetes 1.34, written after its code.
// Defaults of resources of the pod as a whole are left out: they make no pod Guaranteed.
import { isObject, type JsonObject, objectAt } from '../../../lib/json.ts';

type Amounts = Record<string, number>;

const UNITS: Record<string, number> = { m: 1e-3, '': 1, k: 1e3, M: 1e6, G: 1e9, Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30 };

/** Of the quantities that these tests use. */
function amount(quantity: unknown): number {
  const [, digits, unit = ''] = /^([\d.]+|\de-\d)(m|k|M|G|Ki|Mi|Gi)?$/.exec(String(quantity)) ?? [];
  // Sums of tenths would differ in their last bit.
  return Math.round(Number(digits) * (UNITS[unit] ?? Number.NaN) * 1000);
}

const amounts = (list: unknown): Amounts =>
  Object.fromEntries(Object.entries(isObject(list) ? list : {}).map(([name, quantity]) => [name, amount(quantity)]));

interface Sized {
  requests: Amounts;
  limits: Amounts;
  stays: boolean;
}

/** SetDefaults_Pod: an absent request is the limit. */
function sized(container: JsonObject): Sized {
  const { requests, limits } = objectAt(container, 'resources');
  return {
    requests: { ...amounts(limits), ...amounts(requests) },
    limits: amounts(limits),
    stays: container['restartPolicy'] === 'Always',
  };
}

function containersOf(pod: JsonObject): { init: Sized[]; app: Sized[] } {
  const { initContainers, containers } = pod['spec'] as {
    initContainers?: JsonObject[] | null;
    containers: JsonObject[];
  };
  return { init: (initContainers ?? []).map(sized), app: containers.map(sized) };
}

/** AggregateContainerRequests, AggregateContainerLimits. */
export function aggregate(pod: JsonObject, of: 'requests' | 'limits'): Amounts {
  const { init, app } = containersOf(pod);
  const sum: Amounts = {};
  const sidecars: Amounts = {};
  const most: Amounts = {};
  for (const container of app) add(sum, container[of]);
  for (const container of init) {
    const together = { ...sidecars };
    add(together, container[of]);
    if (container.stays) {
      add(sum, container[of]);
      add(sidecars, container[of]);
    }
    for (const [name, value] of Object.entries(together)) most[name] = Math.max(most[name] ?? 0, value);
  }
  for (const [name, value] of Object.entries(most)) sum[name] = Math.max(sum[name] ?? 0, value);
  return sum;
}

function add(sum: Amounts, more: Amounts): void {
  for (const [name, value] of Object.entries(more)) sum[name] = (sum[name] ?? 0) + value;
}

const ofPod = (pod: JsonObject) => {
  const { requests, limits } = objectAt(pod, 'spec', 'resources');
  return { requests: amounts(requests), limits: amounts(limits) };
};

/** ComputePodQOS of pkg/apis/core/v1/helper/qos/qos.go. */
export function qosClass(pod: JsonObject): 'Guaranteed' | 'Burstable' | 'BestEffort' {
  const requests: Amounts = {};
  const limits: Amounts = {};
  let guaranteed = true;
  const counted = (list: Amounts) =>
    Object.fromEntries(Object.entries(list).filter(([name, value]) => ['cpu', 'memory'].includes(name) && value > 0));
  const hasBoth = (list: Amounts) => Object.keys(counted(list)).length === 2;
  if (isObject(objectAt(pod, 'spec')['resources'])) {
    const whole = ofPod(pod);
    add(requests, counted(whole.requests));
    add(limits, counted(whole.limits));
    if (Object.keys(whole.limits).length > 0 && !hasBoth(whole.limits)) guaranteed = false;
  } else {
    const { init, app } = containersOf(pod);
    for (const container of [...app, ...init]) {
      add(requests, counted(container.requests));
      add(limits, counted(container.limits));
      if (!hasBoth(container.limits)) guaranteed = false;
    }
  }
  if (Object.keys(requests).length === 0 && Object.keys(limits).length === 0) return 'BestEffort';
  const same = Object.entries(requests).every(([name, value]) => limits[name] === value);
  return guaranteed && same && Object.keys(requests).length === Object.keys(limits).length ? 'Guaranteed' : 'Burstable';
}

/** validateResourceRequirements and validatePodResourceConsistency. @returns what the API server would refuse */
export function refusals(pod: JsonObject): string[] {
  const { init, app } = containersOf(pod);
  const whole = ofPod(pod);
  const requested = aggregate(pod, 'requests');
  const pages = Object.entries(aggregate(pod, 'limits')).filter(([name]) => name.startsWith('hugepages-'));
  const above = (list: [string, number][], bounds: Amounts, what: string) =>
    list.flatMap(([name, value]) => (value > (bounds[name] ?? Number.POSITIVE_INFINITY) ? [`${what} of ${name}`] : []));
  return [
    ...[...init, ...app].flatMap(refusalsOf),
    ...above(Object.entries(whole.requests), whole.limits, 'requests of the pod'),
    ...above(Object.entries(requested), whole.requests, 'aggregate requests'),
    ...above(pages, whole.limits, 'aggregate limits'),
    ...app.flatMap(({ limits }) => above(Object.entries(limits), whole.limits, 'a limit')),
  ];
}

function refusalsOf({ requests, limits }: Sized): string[] {
  const names = Object.keys({ ...requests, ...limits });
  const pages =
    names.some((name) => name.startsWith('hugepages-')) && !names.some((name) => /^(cpu|memory)$/.test(name));
  const wrong = Object.entries(requests).filter(([name, value]) => {
    const fixed = name.startsWith('hugepages-') || name.includes('/');
    return fixed ? value !== limits[name] : value > (limits[name] ?? Number.POSITIVE_INFINITY);
  });
  return [...wrong.map(([name]) => `request of ${name}`), ...(pages ? ['huge pages without cpu or memory'] : [])];
}
