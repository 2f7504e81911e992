// How long a user waits for a pod: for `create pod`, and from being scheduled to being Ready; guarded and not, in
// turns.

import { performance } from 'node:perf_hooks';
import { setTimeout as wait } from 'node:timers/promises';
import { READY_FIFO } from '../../lib/contract.ts';
import { INIT_IMAGE, isInjected, isReady } from '../../test/harness/cluster/pod-status.ts';
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
const START_TIME = 180;
const LIMIT = 60_000;
/**
 * Milliseconds between two looks of the kubelet at its containers: it notices then that one has started. The last pod was
 * Ready just after one. So pods are created at all times between two: else all would wait for the same look.
 */
const RELIST_PERIOD = 1000;
/** Pairs are that many parts of a period apart, so that they cover it also where time ends early. */
const STRIDE = 7;

/** Waits until it is time for pair `i` of `pairs`. */
export function waitBetweenRelists(i: number, pairs: number): Promise<void> {
  return wait((((i * STRIDE) % pairs) / pairs) * RELIST_PERIOD);
}

/** What any container costs: one of our image that does nothing, without a CPU limit, with a hook that ends at once. */
const EMPTY_SIDECAR = {
  name: 'empty',
  image: INIT_IMAGE,
  imagePullPolicy: 'IfNotPresent',
  restartPolicy: 'Always',
  // Nobody writes into the FIFO.
  command: ['head', READY_FIFO],
  lifecycle: { postStart: { exec: { command: ['head', '--bytes=0', '/dev/null'] } } },
};

/**
 * @param guarded an opted-in namespace, whose pods stay
 * @param plain one that is not
 * @param goal milliseconds that guarded pods may take longer
 * @param seconds after which no pair begins, but for the least
 */
export async function benchPodStart(
  api: Api,
  guarded: string,
  plain: string,
  tell: Tell,
  goal: number,
  seconds = START_TIME,
): Promise<Figure[]> {
  const samples = { [guarded]: [] as number[], [plain]: [] as number[] };
  const empty: number[] = [];
  const noneOfOurs = mustBe(isInjected, false);
  for (const i of rounds(START_PAIRS, START_LEAST_PAIRS, seconds, Date.now)) {
    tell(`pod start: pair ${i + 1} of ${START_PAIRS}`);
    for (const namespace of i % 2 === 0 ? [guarded, plain] : [plain, guarded]) {
      await waitBetweenRelists(i, START_PAIRS);
      samples[namespace]?.push(
        await startPod(api, namespace, `started-${i}`, mustBe(isInjected, namespace === guarded)),
      );
    }
    await waitBetweenRelists(i, START_PAIRS);
    const spec = { initContainers: [EMPTY_SIDECAR] };
    empty.push(await startPod(api, plain, `empty-${i}`, noneOfOurs, spec));
    for (const name of ['started', 'empty'])
      await api.ask('DELETE', `${podsOf(plain)}/${name}-${i}?gracePeriodSeconds=0`);
  }
  return describePodStart({ guarded: samples[guarded] ?? [], plain: samples[plain] ?? [], empty }, goal);
}

/**
 * @param samples milliseconds, of guarded and plain pods, and of those with an empty sidecar
 * @param goal for what is added to plain pods
 */
export function describePodStart(samples: Record<'guarded' | 'plain' | 'empty', number[]>, goal: number): Figure[] {
  const [value, reference, empty] = [median(samples.guarded), median(samples.plain), median(samples.empty)];
  const name = `pod, scheduled to Ready, median of ${samples.guarded.length}`;
  return [
    makeFigure({ name, value, reference, unit: 'ms' }),
    makeFigure({ name: 'pod, added to it', value: value - reference, unit: 'ms', goal: `value <= ${goal}` }),
    makeFigure({ name: 'pod, added to it by a container that does nothing', value: empty - reference, unit: 'ms' }),
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
 * @param spec what it has beside its application
 * @returns milliseconds between what a watch tells of the pod: that it has a node, and that it is Ready
 */
export async function startPod(
  api: Api,
  namespace: string,
  name: string,
  verify: (created: ApiJson) => void,
  spec: object = {},
): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  let scheduled: number | undefined;
  const watch = api.watch(`${podsOf(namespace)}?fieldSelector=metadata.name%3D${name}`, (pod) => {
    if (pod.spec.nodeName) scheduled ??= performance.now();
    if (scheduled !== undefined && isReady(pod)) resolve(performance.now() - scheduled);
  });
  const timeout = setTimeout(() => reject(new Error(`pod ${namespace}/${name} was not Ready in time`)), LIMIT);
  try {
    const created = await api.ask('POST', podsOf(namespace), podIn(namespace, name, spec));
    verify(created);
    return await promise;
  } finally {
    clearTimeout(timeout);
    watch.stop();
  }
}
