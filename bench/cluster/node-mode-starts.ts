// Node mode: how long a user waits for a pod, and whether the cure is in before the pod's first container.
import { readFile } from 'node:fs/promises';
import type { Tell } from '../../test/harness/progress-line.ts';
import type { Layout } from '../../tools/cluster/cluster-layout.ts';
import { pidsInCgroups } from '../../tools/cluster/cluster-processes.ts';
import { type Figure, makeFigure } from '../figure.ts';
import { readAgeSeconds } from '../proc-numbers.ts';
import { median, quantile, rounds } from '../samples.ts';
import type { Api, ApiJson } from './bench-api.ts';
import { addNamespaces, podsOf } from './bench-pods.ts';
import {
  type BenchAgent,
  clearAway,
  fillNamespace,
  hasGate,
  NODE_MODE_NAMESPACES,
  saysGuarded,
} from './node-mode-setup.ts';
import { mustBe, startPod, waitBetweenRelists } from './pod-times.ts';

const PAIRS = 20;
const LEAST_PAIRS = 8;
/** Seconds. */
const PAIR_TIME = 150;
const ONE_BY_ONE = 100;
/** Of which the agent is asked together: a program each time would take part of the CPU. */
const BATCH = 10;
const LEAST_BATCHES = 3;
const ONE_BY_ONE_TIME = 240;
const BURST = 100;
/** Pods that stay for the sections after these. */
const KEPT = 30;

const { guarded: NODE, plain: NONE, burst: AT_ONCE } = NODE_MODE_NAMESPACES;

/** Pods with the gate and without, in turns; the former stay. */
export async function benchNodeModeStart(api: Api, tell: Tell): Promise<Figure[]> {
  await addNamespaces(api, [NONE]);
  const samples = { [NODE]: [] as number[], [NONE]: [] as number[] };
  for (const i of rounds(PAIRS, LEAST_PAIRS, PAIR_TIME, Date.now)) {
    tell(`node mode: pod start: pair ${i + 1} of ${PAIRS}`);
    for (const namespace of i % 2 === 0 ? [NODE, NONE] : [NONE, NODE]) {
      const verify = mustBe(hasGate, namespace === NODE);
      await waitBetweenRelists(i, PAIRS);
      samples[namespace]?.push(await startPod(api, namespace, `paired-${i}`, verify));
    }
    await api.ask('DELETE', `${podsOf(NONE)}/paired-${i}?gracePeriodSeconds=0`);
  }
  await clearAway(api, [NONE]);
  return describeNodeModeStart(samples[NODE] ?? [], samples[NONE] ?? []);
}

/** @param node milliseconds, as are those of the pods of no mode */
export function describeNodeModeStart(node: number[], none: number[]): Figure[] {
  const [value, reference] = [median(node), median(none)];
  return [
    makeFigure({ name: `node mode: pod, scheduled to Ready, median of ${node.length}`, value, reference, unit: 'ms' }),
    makeFigure({ name: 'node mode: added to it', value: value - reference, unit: 'ms', goal: 'value <= 250' }),
  ];
}

/**
 * One pod after the other. What is judged is when the cure was in; the container's time is that of its first process, which
 * is earlier than the program in it.
 */
export async function benchFirstContainer(api: Api, layout: Layout, agent: BenchAgent, tell: Tell): Promise<Figure[]> {
  const margins = await marginsOf(layout, agent, NODE, (await api.ask('GET', podsOf(NODE))).items);
  const batches = Math.ceil((ONE_BY_ONE - margins.length) / BATCH);
  for (const batch of rounds(batches, LEAST_BATCHES, ONE_BY_ONE_TIME, Date.now)) {
    tell(`node mode: rule before the first container: pod ${margins.length + 1} of ${ONE_BY_ONE}`);
    const names = Array.from({ length: BATCH }, (_, i) => `single-${batch}-${i}`);
    for (const name of names) await startPod(api, NODE, name, mustBe(hasGate, true));
    const pods = await Promise.all(names.map((name) => api.ask('GET', `${podsOf(NODE)}/${name}`)));
    margins.push(...(await marginsOf(layout, agent, NODE, pods)));
    if (margins.length <= KEPT) continue;
    for (const name of names) await api.ask('DELETE', `${podsOf(NODE)}/${name}?gracePeriodSeconds=0`);
  }
  return describeMargins('one by one', margins, 'value >= 99');
}

export async function benchBurst(api: Api, layout: Layout, agent: BenchAgent, tell: Tell): Promise<Figure[]> {
  await addNamespaces(api, [AT_ONCE], 'node');
  tell(`node mode: rule before the first container: ${BURST} pods at once`);
  const pods = await fillNamespace(api, AT_ONCE, BURST, saysGuarded);
  return describeMargins('at once', await marginsOf(layout, agent, AT_ONCE, pods));
}

/** Milliseconds until the first container; negative where that was first. */
export interface CureMargin {
  putIn: number;
  verified: number;
}

export function describeMargins(how: string, margins: CureMargin[], goal?: 'value >= 99'): Figure[] {
  const shareOf = (what: keyof CureMargin) =>
    (margins.filter((margin) => margin[what] > 0).length / margins.length) * 100;
  const putIn = margins.map((margin) => margin.putIn);
  const name = `node mode: ${margins.length} pods ${how}`;
  return [
    makeFigure({ name: `${name}, cure before container`, value: shareOf('putIn'), unit: '%', ...(goal && { goal }) }),
    makeFigure({ name: `${name}, verified before container`, value: shareOf('verified'), unit: '%' }),
    makeFigure({ name: `${name}, from cure to container, median`, value: median(putIn), unit: 'ms' }),
    makeFigure({ name: `${name}, from cure to container, p1`, value: quantile(putIn, 0.01), unit: 'ms' }),
  ];
}

async function marginsOf(layout: Layout, agent: BenchAgent, namespace: string, pods: ApiJson[]): Promise<CureMargin[]> {
  const names = pods.map(({ metadata }) => metadata.name);
  const times = await agent.timesOf(namespace, names);
  const margins: CureMargin[] = [];
  for (const [i, pod] of pods.entries()) {
    const cure = times[i];
    if (cure === undefined) throw new Error(`the agent has not put the cure into ${namespace}/${names[i]}`);
    const started = await firstContainerAt(layout, pod.metadata.uid);
    margins.push({ putIn: started - cure.putInAt, verified: started - cure.guardedAt });
  }
  return margins;
}

/** Milliseconds since 1970, to some 20 ms: /proc has no finer ones. */
async function firstContainerAt(layout: Layout, uid: string): Promise<number> {
  const times: number[] = [];
  for (const pid of await pidsInCgroups(layout.cgroup, `pod${uid}`)) {
    const command = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0')[0] ?? '';
    // It holds the pod's namespaces, and is no container of it.
    if (command === '' || command.endsWith('pause')) continue;
    times.push(Date.now() - (await readAgeSeconds(pid)) * 1000);
  }
  if (times.length === 0) throw new Error(`no container of pod ${uid} runs`);
  return Math.min(...times);
}
