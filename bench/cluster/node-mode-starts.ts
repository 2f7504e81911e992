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
import { mustBe, startPod } from './pod-times.ts';

const PAIRS = 20;
const LEAST_PAIRS = 8;
/** Seconds. */
const PAIR_TIME = 150;
const ONE_BY_ONE = 100;
const LEAST_ONE_BY_ONE = 30;
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
      samples[namespace]?.push(await startPod(api, namespace, `paired-${i}`, verify));
    }
    await api.ask('DELETE', `${podsOf(NONE)}/paired-${i}?gracePeriodSeconds=0`);
  }
  await clearAway(api, [NONE]);
  return describeNodeModeStart(samples[NODE] ?? [], samples[NONE] ?? []);
}

/** @param node milliseconds, as are those of the pods of no mode, in pairs */
export function describeNodeModeStart(node: number[], none: number[]): Figure[] {
  const added = node.map((time, i) => time - (none[i] ?? Number.NaN));
  const name = `node mode: pod, scheduled to Ready, median of ${node.length}`;
  return [
    makeFigure({ name, value: median(node), reference: median(none), unit: 'ms' }),
    makeFigure({
      name: 'node mode: added to it, median of pairs',
      value: median(added),
      unit: 'ms',
      goal: 'value <= 250',
    }),
  ];
}

/**
 * One pod after the other, then many at once. The agent's time is that at which it had verified the cure, which is later
 * than the rule; the container's that of its first process, which is earlier than the program in it.
 */
export async function benchFirstContainer(api: Api, layout: Layout, agent: BenchAgent, tell: Tell): Promise<Figure[]> {
  const margins = await marginsOf(layout, agent, NODE, (await api.ask('GET', podsOf(NODE))).items);
  const left = ONE_BY_ONE - margins.length;
  for (const i of rounds(left, LEAST_ONE_BY_ONE, ONE_BY_ONE_TIME, Date.now)) {
    tell(`node mode: rule before the first container: pod ${margins.length + 1} of ${ONE_BY_ONE}`);
    const name = `single-${i}`;
    await startPod(api, NODE, name, mustBe(hasGate, true));
    const pod = await api.ask('GET', `${podsOf(NODE)}/${name}`);
    margins.push(...(await marginsOf(layout, agent, NODE, [pod])));
    if (margins.length > KEPT) await api.ask('DELETE', `${podsOf(NODE)}/${name}?gracePeriodSeconds=0`);
  }
  return describeMargins('one by one', margins, 'value >= 99');
}

export async function benchBurst(api: Api, layout: Layout, agent: BenchAgent, tell: Tell): Promise<Figure[]> {
  await addNamespaces(api, [AT_ONCE], 'node');
  tell(`node mode: rule before the first container: ${BURST} pods at once`);
  const pods = await fillNamespace(api, AT_ONCE, BURST, saysGuarded);
  return describeMargins('at once', await marginsOf(layout, agent, AT_ONCE, pods));
}

/** @param margins milliseconds from guarded to the first container; negative where the container was first */
export function describeMargins(how: string, margins: number[], goal?: 'value >= 99'): Figure[] {
  const share = (margins.filter((margin) => margin > 0).length / margins.length) * 100;
  const name = `node mode: ${margins.length} pods ${how}`;
  return [
    makeFigure({ name: `${name}, guarded before the first container`, value: share, unit: '%', ...(goal && { goal }) }),
    makeFigure({ name: `${name}, guarded so long before it, median`, value: median(margins), unit: 'ms' }),
    makeFigure({ name: `${name}, guarded so long before it, p1`, value: quantile(margins, 0.01), unit: 'ms' }),
  ];
}

/** @returns milliseconds for each pod; the least number where it is not guarded */
async function marginsOf(layout: Layout, agent: BenchAgent, namespace: string, pods: ApiJson[]): Promise<number[]> {
  const times = await agent.guardedAt(
    namespace,
    pods.map(({ metadata }) => metadata.name),
  );
  const margins: number[] = [];
  for (const [i, pod] of pods.entries()) {
    const started = await firstContainerAt(layout, pod.metadata.uid);
    margins.push(started - (times[i] ?? Number.MAX_SAFE_INTEGER));
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
