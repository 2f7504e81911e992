// The resources of our containers in one pod: what they ask for, but so that the pod keeps its QoS class Guaranteed, and stays
// within what it budgets as a whole.
import { isObject, type JsonObject, objectAt } from '../../lib/json.ts';
import { allContainers, type PodView } from '../../lib/pod/pod-view.ts';
import { type Amounts, type ContainerResources, isHugePages, type OwnResources } from './container-resources.ts';
import { ONE, parseQuantity } from './quantity.ts';

/**
 * @param asked by the configuration and the pod's annotations
 * @param addsChecker whether the checker is added now
 */
export function resourcesInPod(pod: PodView, asked: OwnResources, addsChecker: boolean): OwnResources {
  const fit = isGuaranteed(pod) ? guaranteed(pod, asked, addsChecker) : asked;
  const budgeted = podBudget(pod);
  return { init: resourcesWithin(budgeted, fit.init), checker: resourcesWithin(budgeted, fit.checker) };
}

// Guaranteed.

/**
 * Whether its containers make the pod Guaranteed: the CPU manager pins only such pods to cores, and they are evicted last.
 * As ComputePodQOS of Kubernetes (pkg/apis/core/v1/helper/qos/qos.go), which adds the containers up: no request is above its
 * limit, so that sums are equal where all are. Where the pod has resources as a whole they decide alone, and then ours take
 * nothing of what it budgets.
 */
function isGuaranteed(pod: PodView): boolean {
  return allContainers(pod).every((container) =>
    ['cpu', 'memory'].every((name) => {
      const limit = limitOf(container, name);
      // The API server sets a request that is absent to the limit.
      const request = parseQuantity(objectAt(container, 'resources', 'requests')[name]) ?? limit;
      return limit > 0n && request === limit;
    }),
  );
}

const limitOf = (container: JsonObject, name: string) =>
  parseQuantity(objectAt(container, 'resources', 'limits')[name]) ?? 0n;

/**
 * Where no limit is configured; the most that a container that stays reserves, whose limit serves the install at its start;
 * and the least of the init container, which takes half a second with it.
 */
const CPU = ONE / 5n;
const MEMORY = '128Mi';

/**
 * Requests and limits are made equal. The scheduler reserves what runs at the same time, or what one init container needs if
 * that is more: the init container takes no more CPU than the pod has reserved anyway.
 */
function guaranteed(pod: PodView, asked: OwnResources, addsChecker: boolean): OwnResources {
  const checker = withEqual(asked.checker, (limit) => smaller(limit, CPU));
  const added = addsChecker ? (parseQuantity(checker.limits['cpu']) ?? 0n) : 0n;
  const free = larger(reservedCpu(pod, added), CPU);
  return { checker, init: withEqual(asked.init, (limit) => smaller(limit, free)) };
}

/** @param cpuOf the CPU to take, from the limit; not used where request and limit are equal already */
function withEqual({ requests, limits }: ContainerResources, cpuOf: (limit: bigint) => bigint): ContainerResources {
  const [cpu, memory] = [parseQuantity(requests['cpu']) ?? 0n, parseQuantity(requests['memory']) ?? 0n];
  const cpuLimit = parseQuantity(limits['cpu']);
  const equal: Amounts = {
    cpu: cpu === cpuLimit ? String(limits['cpu']) : cpuText(larger(cpu, cpuOf(cpuLimit ?? CPU))),
    memory: limits['memory'] ?? (memory > (parseQuantity(MEMORY) ?? 0n) ? String(requests['memory']) : MEMORY),
  };
  return { requests: { ...requests, ...equal }, limits: { ...limits, ...equal } };
}

/** In thousandths. Never whole cores: those the CPU manager would take from the node for this container alone. */
function cpuText(cpu: bigint): string {
  const thousandths = (cpu * 1000n) / ONE;
  return `${thousandths % 1000n === 0n ? thousandths - 1n : thousandths}m`;
}

/** CPU of what runs at the same time, with what is added to it, or of the largest init container. */
function reservedCpu({ initContainers = [], containers }: PodView, added: bigint): bigint {
  const sidecars = initContainers.filter(({ restartPolicy }) => restartPolicy === 'Always');
  const together = [...sidecars, ...containers].reduce((sum, container) => sum + limitOf(container, 'cpu'), added);
  return initContainers.map((container) => limitOf(container, 'cpu')).reduce(larger, together);
}

const larger = (a: bigint, b: bigint) => (a > b ? a : b);
const smaller = (a: bigint, b: bigint) => (a < b ? a : b);

// Resources of the pod as a whole.

/**
 * Names such as `cpu` in `spec.resources` (Kubernetes 1.32 and later). The API server refuses a pod whose containers
 * request more than the pod, or one of which has a larger limit (validatePodResourceConsistency).
 */
function podBudget({ spec }: PodView): string[] {
  const { requests, limits } = objectAt(spec, 'resources');
  return [requests, limits].filter(isObject).flatMap(Object.keys);
}

/** Without what the pod budgets as a whole: of that, a container without its own amounts shares the pod's. */
function resourcesWithin(budgeted: string[], { requests, limits }: ContainerResources): ContainerResources {
  if (budgeted.length === 0) return { requests, limits };
  // A container with huge pages needs CPU or memory of its own.
  const noPages = ['cpu', 'memory'].every((name) => budgeted.includes(name));
  const isOwn = ([name]: [string, string]) => !budgeted.includes(name) && !(noPages && isHugePages(name));
  const own = (amounts: Amounts) => Object.fromEntries(Object.entries(amounts).filter(isOwn));
  return { requests: own(requests), limits: own(limits) };
}
