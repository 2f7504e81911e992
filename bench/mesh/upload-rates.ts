// Uploads through both Envoys, with the rule and without it, and how many of a thousand with stray segments are reset.
import { PodPrograms } from '../../test/harness/cluster/node-side.ts';
import { gatewayPod, LARGE, untilPassedOn, upload, withStrays } from '../../test/harness/mesh/gateway-uploads.ts';
import { runStore } from '../../test/harness/mesh/object-store.ts';
import type { Tell } from '../../test/harness/progress-line.ts';
import { ISTIO_NAMESPACE } from '../../tools/mesh/istio-installation.ts';
import { type Figure, makeFigure } from '../figure.ts';
import { median, rounds } from '../samples.ts';

const PAIRS = 40;
const LEAST_PAIRS = 10;
/** Seconds. */
const TIME = 90;
/** Uploads with stray segments: the first are as large as the incident's. */
const LARGE_COUNT = 200;
const COUNT = 1000;
const SMALL = 20_000_000;
/** One in so many full segments, so that a small upload has some. */
const SMALL_EVERY = 50;
const AT_A_TIME = 50;

/** @param guarded namespace whose pods both inject @param plain one that only Istio does */
export async function benchUploads(guarded: string, plain: string, tell: Tell): Promise<Figure[]> {
  const gateway = await gatewayPod();
  const address = gateway.status.podIP ?? '';
  const names = { guarded: `store.${guarded}`, plain: `store.${plain}` };
  for (const namespace of [guarded, plain]) await runStore(namespace, 'store');
  for (const name of Object.values(names)) await untilPassedOn(address, name);
  const throughput = await comparePairs(address, names, tell);
  const sender = new PodPrograms(ISTIO_NAMESPACE, gateway.metadata.name);
  let [failed, strays] = [0, 0];
  for (let done = 0; done < COUNT; done += AT_A_TIME) {
    tell(`uploads with stray segments: ${done} of ${COUNT}, ${failed} reset`);
    const isLarge = done < LARGE_COUNT;
    const some = () => upload(address, names.guarded, AT_A_TIME, isLarge ? LARGE : SMALL);
    const seen = await withStrays(sender, some, isLarge ? undefined : SMALL_EVERY);
    failed += seen.result.filter(({ ok }) => !ok).length;
    strays += seen.strays;
  }
  const name = `uploads of ${COUNT} with ${strays} stray segments, reset`;
  return [throughput, makeFigure({ name, value: failed, unit: '', goal: 'value <= 0' })];
}

async function comparePairs(address: string, names: Record<'guarded' | 'plain', string>, tell: Tell): Promise<Figure> {
  const samples = { guarded: [] as number[], plain: [] as number[] };
  for (const round of rounds(PAIRS, LEAST_PAIRS, TIME, Date.now)) {
    tell(`uploads through both Envoys: pair ${round + 1} of ${PAIRS}`);
    for (const which of round % 2 === 0 ? (['guarded', 'plain'] as const) : (['plain', 'guarded'] as const)) {
      const [one] = await upload(address, names[which], 1);
      if (!one?.ok) throw new Error(`an upload without stray segments failed: ${one?.error}`);
      samples[which].push(LARGE / 1e6 / one.seconds);
    }
  }
  const ratios = samples.guarded.map((value, i) => value / (samples.plain[i] ?? Number.NaN));
  return makeFigure({
    name: `uploads through both Envoys (${ratios.length} pairs)`,
    value: median(samples.guarded),
    reference: median(samples.plain),
    ratio: median(ratios),
    unit: 'MB/s',
    goal: 'ratio >= 0.98',
  });
}
