// Memory and CPU of the checkers of many pods on one node.
import { setTimeout as wait } from 'node:timers/promises';
import { isInjected, isReady } from '../../test/harness/cluster/pod-status.ts';
import type { Tell } from '../../test/harness/progress-line.ts';
import { eventually } from '../../test/harness/wait-until.ts';
import type { Layout } from '../../tools/cluster/cluster-layout.ts';
import { type Figure, makeFigure } from '../figure.ts';
import { childrenOf, readCpuSeconds, readMemory } from '../proc-numbers.ts';
import { median } from '../samples.ts';
import { type Api, type ApiJson, inParallel } from './bench-api.ts';
import { podIn, podsOf } from './bench-pods.ts';
import { programOf } from './webhook-replicas.ts';

const PODS = 30;
/** Three checks at the default schedule, and six probes. */
const WINDOW_SECONDS = 30;
const SETTLE_SECONDS = 5;
const READY_LIMIT = 120_000;
const MB = 1e6;

/** @param namespace opted in; it may have guarded pods already, which count */
export async function benchCheckers(api: Api, layout: Layout, namespace: string, tell: Tell): Promise<Figure[]> {
  tell(`checkers: starting ${PODS} guarded pods`);
  const names = await fill(api, namespace);
  const pids = await Promise.all(names.map((name) => programOf(layout, namespace, name, 'check.js')));
  await wait(SETTLE_SECONDS * 1000);
  const before = await Promise.all(pids.map(readCpuSeconds));
  for (let second = 0; second < WINDOW_SECONDS; second++) {
    tell(`checkers: idle for ${second} of ${WINDOW_SECONDS} s`);
    await wait(1000);
  }
  const cpu = (await Promise.all(pids.map(readCpuSeconds))).map((after, i) => after - (before[i] ?? 0));
  const memory = await Promise.all(pids.map(privateOf));
  const total = (numbers: number[]) => numbers.reduce((sum, one) => sum + one, 0);
  const of = `of ${pids.length} on a node`;
  return [
    makeFigure({ name: `checker, private memory with its nft, median ${of}`, value: median(memory) / MB, unit: 'MB' }),
    makeFigure({ name: `checkers, private memory, all ${of}`, value: total(memory) / MB, unit: 'MB' }),
    makeFigure({
      name: `checker with its probes, CPU of one core, mean ${of}`,
      value: (total(cpu) / pids.length / WINDOW_SECONDS) * 100,
      unit: '%',
    }),
  ];
}

/** @returns the names of PODS Ready pods */
async function fill(api: Api, namespace: string): Promise<string[]> {
  const { items } = await api.ask('GET', podsOf(namespace));
  await inParallel(Math.max(0, PODS - items.length), (i) =>
    api.ask('POST', podsOf(namespace), podIn(namespace, `guarded-${i}`)),
  );
  const ready = async () => {
    const pods = (await api.ask('GET', podsOf(namespace))).items.filter(
      (pod: ApiJson) => isReady(pod) && isInjected(pod),
    );
    return pods.length >= PODS && pods.slice(0, PODS).map(({ metadata }: ApiJson) => metadata.name);
  };
  return eventually(`${PODS} guarded pods are Ready`, ready, READY_LIMIT);
}

/** Bytes that would be free without the checker and the programs that it keeps; a child may just have ended. */
async function privateOf(pid: number): Promise<number> {
  const children = await childrenOf(pid);
  const kept = await Promise.all(children.map((child) => readMemory(child).catch(() => undefined)));
  return (await readMemory(pid)).private + kept.reduce((sum, one) => sum + (one?.private ?? 0), 0);
}
