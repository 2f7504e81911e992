// How long a pod takes from being scheduled to being Ready, guarded and not, one after the other.
import { performance } from 'node:perf_hooks';
import { type Figure, makeFigure } from '../figure.ts';
import type { Tell } from '../progress-line.ts';
import { rounds } from '../rounds.ts';
import { median } from '../statistics.ts';
import { isInjected, podIn, podsOf } from './bench-pods.ts';
import type { Api } from './kept-api.ts';
import { isReady } from './replicas.ts';

const PAIRS = 20;
const LEAST_PAIRS = 8;
/** Seconds. */
const TIME = 120;
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
  seconds = TIME,
): Promise<Figure[]> {
  const samples = { [guarded]: [] as number[], [plain]: [] as number[] };
  for (const i of rounds(PAIRS, LEAST_PAIRS, seconds, Date.now)) {
    tell(`pod start: pair ${i + 1} of ${PAIRS}`);
    for (const namespace of i % 2 === 0 ? [guarded, plain] : [plain, guarded]) {
      samples[namespace]?.push(await startPod(api, namespace, `started-${i}`, namespace === guarded));
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

/** @returns milliseconds between what a watch tells of the pod: that it has a node, and that it is Ready */
async function startPod(api: Api, namespace: string, name: string, isGuarded: boolean): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  let scheduled: number | undefined;
  const watch = api.watch(`${podsOf(namespace)}?fieldSelector=metadata.name%3D${name}`, (pod) => {
    if (pod.spec.nodeName) scheduled ??= performance.now();
    if (scheduled !== undefined && isReady(pod)) resolve(performance.now() - scheduled);
  });
  const timeout = setTimeout(() => reject(new Error(`pod ${namespace}/${name} was not Ready in time`)), LIMIT);
  try {
    const created = await api.ask('POST', podsOf(namespace), podIn(namespace, name));
    const took = await promise;
    if (isInjected(created) !== isGuarded)
      throw new Error(`pod ${namespace}/${name} is ${isGuarded ? 'not ' : ''}injected`);
    return took;
  } finally {
    clearTimeout(timeout);
    watch.stop();
  }
}
