// How long a user waits for `create pod`: in a namespace that the webhook is called for, and in one that it is not.
import { performance } from 'node:perf_hooks';
import { type Figure, makeFigure } from '../figure.ts';
import type { Tell } from '../progress-line.ts';
import { rounds } from '../rounds.ts';
import { quantile } from '../statistics.ts';
import { addNamespaces, isInjected, namespaceFor, pendingPod, podsOf } from './bench-pods.ts';
import type { Api } from './kept-api.ts';

const PAIRS = 500;
const LEAST_PAIRS = 100;
/** Seconds. */
const TIME = 20;
const WARM_UP = 20;
const WITH = namespaceFor('with');
const WITHOUT = namespaceFor('without');

export async function benchPodCreation(api: Api, tell: Tell): Promise<Figure[]> {
  await addNamespaces(api, [WITH], true);
  await addNamespaces(api, [WITHOUT], false);
  const samples = { with: [] as number[], without: [] as number[] };
  for (const i of rounds(PAIRS + WARM_UP, LEAST_PAIRS + WARM_UP, TIME, Date.now)) {
    tell(`pod creation: pair ${i} of ${PAIRS}`);
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
