// The webhook in a large cluster: its memory and its answers with many pods in many namespaces to count.
import { fileURLToPath } from 'node:url';
import { OWN_NAMESPACE } from '../../lib/contract.ts';
import { kubectl } from '../../test/harness/cluster/kubectl.ts';
import { askWebhook, rolledOut } from '../../test/harness/cluster/webhook-installation.ts';
import { must } from '../../test/harness/netns/processes.ts';
import type { Tell } from '../../test/harness/progress-line.ts';
import { eventually } from '../../test/harness/wait-until.ts';
import type { Layout } from '../../tools/cluster/cluster-layout.ts';
import { type Figure, makeFigure } from '../figure.ts';
import { load } from '../https-load.ts';
import { median } from '../samples.ts';
import { review } from '../webhook-bench.ts';
import { type Api, type ApiJson, inParallel } from './bench-api.ts';
import { addNamespaces, namespaceFor, pendingPod, podsOf } from './bench-pods.ts';
import { findReplicas, greatestRss } from './webhook-replicas.ts';

const NAMESPACES = 500;
const STEPS = [0, 1000, 10_000];
/** Seconds for making pods: on a loaded machine the last step has fewer, and says how many. */
const TIME = 240;
const MB = 1e6;
const COUNT_LIMIT = 120_000;
const QUIET_LIMIT = 60_000;
/** A thousand pods a second are far more than any cluster makes; saturation would measure the queue. */
const CONNECTIONS = 2;
const SECONDS = 2;
const LOADS = 7;
const COVERAGES = 5;
const COMMAND = fileURLToPath(new URL('../../dist/cli/kubectl-invalid_drop.cjs', import.meta.url));

export async function benchScale(api: Api, layout: Layout, tell: Tell): Promise<Figure[]> {
  tell('scale: waiting until the other sections are cleared away');
  await eventually('no namespace is being deleted', () => nothingGoes(api), QUIET_LIMIT);
  tell(`scale: ${NAMESPACES} namespaces`);
  const namespaces = Array.from({ length: NAMESPACES }, (_, i) => namespaceFor(`scale-${i}`));
  await addNamespaces(api, namespaces, 'enabled');
  const figures: Figure[] = [];
  let made = 0;
  const end = Date.now() + TIME * 1000;
  let noise: number | undefined;
  for (const wanted of STEPS) {
    const before = made;
    await inParallel(wanted - before, async (i) => {
      if (Date.now() > end) return;
      const number = before + i;
      if (number % 100 === 0) tell(`scale: pod ${number} of ${STEPS.at(-1)}`);
      const namespace = namespaces[number % NAMESPACES] ?? '';
      await api.ask('POST', podsOf(namespace), pendingPod(namespace, `scaled-${number}`));
      made += 1;
    });
    const pods = made;
    await restart();
    await eventually(`${pods} pods are counted`, async () => (await countedPods()) >= pods, COUNT_LIMIT);
    tell(`scale: measuring with ${pods} pods`);
    const replicas = await findReplicas(api, layout);
    const settled = await greatestRss(replicas);
    const times = await coverageTimes();
    const p99s = await admissionP99s(replicas[0]?.address ?? '');
    const name = `webhook with ${pods} pods in ${NAMESPACES} namespaces`;
    const memory = { unit: 'MB', goal: 'value <= 120' } as const;
    // Flat within noise: with pods, what is usual is not above the worst without any.
    const flat = noise === undefined ? {} : ({ reference: noise, goal: 'ratio <= 1' } as const);
    noise ??= Math.max(...p99s);
    figures.push(
      makeFigure({
        name: `kubectl invalid-drop coverage with ${pods} pods, median of ${COVERAGES}`,
        ...({ value: median(times), unit: 'ms', goal: 'value <= 2000' } as const),
      }),
      makeFigure({ name: `${name}, RSS`, value: settled / MB, ...memory }),
      makeFigure({ name: `${name}, RSS after load`, value: (await greatestRss(replicas)) / MB, ...memory }),
      makeFigure({ name: `${name}, admission p99, median of ${LOADS}`, value: median(p99s), unit: 'ms', ...flat }),
    );
  }
  return figures;
}

/** Deleting a thousand pods keeps the API server busy, which would add to the first latencies. */
async function nothingGoes(api: Api): Promise<boolean> {
  const { items } = await api.ask('GET', '/api/v1/namespaces');
  return items.every(({ status }: ApiJson) => status.phase === 'Active');
}

/** Replaces the replicas, so that they have read the present state only. */
async function restart(): Promise<void> {
  await kubectl(['rollout', 'restart', 'deployment/invalid-drop-webhook', '-n', OWN_NAMESPACE]);
  await rolledOut();
}

/** What one of the replicas counts. */
async function countedPods(): Promise<number> {
  return sumOf(await askWebhook('/metrics'), 'invalid_drop_coverage_pods');
}

/** Sum of a metric's samples. @param text in the text format of Prometheus */
export function sumOf(text: string, metric: string): number {
  const samples = text.split('\n').filter((line) => line.startsWith(`${metric}{`) || line.startsWith(`${metric} `));
  return samples.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}

/** Milliseconds from the start of the command until it has printed the report and ended. */
async function coverageTimes(): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < COVERAGES; i++) {
    const began = performance.now();
    await must(process.execPath, [COMMAND, 'coverage'], {});
    times.push(performance.now() - began);
  }
  return times;
}

/** Milliseconds, of each load but the first, which warms up. */
async function admissionP99s(address: string): Promise<number[]> {
  const body = JSON.stringify(await review());
  const target = { hosts: [address], port: 8443, path: '/mutate' };
  const values: number[] = [];
  for (let i = 0; i <= LOADS; i++) {
    const { p99 } = await load(target, body, { connections: CONNECTIONS, seconds: SECONDS });
    if (i > 0) values.push(p99);
  }
  return values;
}
