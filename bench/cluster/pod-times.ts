// How long a user waits for a pod: for `create pod`, and from being scheduled to being Ready; guarded and not, in
// turns.

import { performance } from 'node:perf_hooks';
import { isInjected, isReady } from '../../test/harness/cluster/pod-status.ts';
import type { Tell } from '../../test/harness/progress-line.ts';
import { type Figure, makeFigure } from '../figure.ts';
import { median, quantile, rounds } from '../samples.ts';
import type { Api, ApiJson } from './bench-api.ts';
import { addNamespaces, namespaceFor, pendingPod, podIn, podsOf } from './bench-pods.ts';

const CREATION_PAIRS = 500;
const CREATION_LEAST_PAIRS = 100;
/** Seconds. */
const CREATION_TIME = 20;
const WARM_UP = 20;
const WITH = namespaceFor('with');
const WITHOUT = namespaceFor('without');

export async function benchPodCreation(api: Api, tell: Tell): Promise<Figure[]> {
  await addNamespaces(api, [WITH], 'enabled');
  await addNamespaces(api, [WITHOUT]);
  const samples = { with: [] as number[], without: [] as number[] };
  for (const i of rounds(CREATION_PAIRS + WARM_UP, CREATION_LEAST_PAIRS + WARM_UP, CREATION_TIME, Date.now)) {
    tell(`pod creation: pair ${i} of ${CREATION_PAIRS}`);
    // Each comes first in every other pair.
    for (const namespace of i % 2 === 0 ? [WITH, WITHOUT] : [WITHOUT, WITH]) {
      const pod = pendingPod(namespace, `created-${i}`);
      const started = performance.now();
      const created = await api.ask('POST', podsOf(namespace), pod);
      const took = performance.now() - started;
      if (isInjected(created) !== (namespace === WITH))
        throw new Error('injected where it should not be, or not where it should');
      if (i >= WARM_UP) samples[namespace === WITH ? 'with' : 'without'].push(took);
    }
  }
  for (const namespace of [WITH, WITHOUT]) await api.ask('DELETE', `/api/v1/namespaces/${namespace}`);
  const count = samples.with.length;
  return [0.5, 0.99].map((share) =>
    makeFigure({
      name: `creating a pod with the webhook, p${share * 100} of ${count}`,
      value: quantile(samples.with, share),
      reference: quantile(samples.without, share),
      unit: 'ms',
    }),
  );
}

const START_PAIRS = 20;
const START_LEAST_PAIRS = 8;
/** Seconds. */
const START_TIME = 120;
const LIMIT = 60_000;

/**
 * @param guarded an opted-in namespace, whose pods stay
 * @param plain one that is not
 * @param seconds after which no pair begins, but for the least
 */
export async function benchPodStart(
  api: Api,
  guarded: string,
  plain: string,
  tell: Tell,
  seconds = START_TIME,
): Promise<Figure[]> {
  const samples = { [guarded]: [] as number[], [plain]: [] as number[] };
  for (const i of rounds(START_PAIRS, START_LEAST_PAIRS, seconds, Date.now)) {
    tell(`pod start: pair ${i + 1} of ${START_PAIRS}`);
    for (const namespace of i % 2 === 0 ? [guarded, plain] : [plain, guarded]) {
      samples[namespace]?.push(
        await startPod(api, namespace, `started-${i}`, mustBe(isInjected, namespace === guarded)),
      );
    }
    await api.ask('DELETE', `${podsOf(plain)}/started-${i}?gracePeriodSeconds=0`);
  }
  return describePodStart(samples[guarded] ?? [], samples[plain] ?? []);
}

/** @param guarded milliseconds, as are those of the plain pods */
export function describePodStart(guarded: number[], plain: number[]): Figure[] {
  const [value, reference] = [median(guarded), median(plain)];
  return [
    makeFigure({ name: `pod, scheduled to Ready, median of ${guarded.length}`, value, reference, unit: 'ms' }),
    makeFigure({ name: 'pod, share of it that is ours', value: ((value - reference) / value) * 100, unit: '%' }),
  ];
}

/** @returns a function that throws where a pod that was just created is not as it should be */
export function mustBe(guardedBy: (pod: ApiJson) => boolean, wanted: boolean): (created: ApiJson) => void {
  return (created) => {
    if (guardedBy(created) === wanted) return;
    const { namespace, name } = created.metadata;
    throw new Error(`pod ${namespace}/${name} is ${wanted ? 'not' : ''} as the webhook makes guarded ones`);
  };
}

/**
 * Creates a pod and waits for it.
 * @param verify throws where the pod is not as it should be
 * @returns milliseconds between what a watch tells of the pod: that it has a node, and that it is Ready
 */
export async function startPod(
  api: Api,
  namespace: string,
  name: string,
  verify: (created: ApiJson) => void,
): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  let scheduled: number | undefined;
  const watch = api.watch(`${podsOf(namespace)}?fieldSelector=metadata.name%3D${name}`, (pod) => {
    if (pod.spec.nodeName) scheduled ??= performance.now();
    if (scheduled !== undefined && isReady(pod)) resolve(performance.now() - scheduled);
  });
  const timeout = setTimeout(() => reject(new Error(`pod ${namespace}/${name} was not Ready in time`)), LIMIT);
  try {
    const created = await api.ask('POST', podsOf(namespace), podIn(namespace, name));
    verify(created);
    return await promise;
  } finally {
    clearTimeout(timeout);
    watch.stop();
  }
}
