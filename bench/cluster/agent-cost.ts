// Memory and CPU of the agent of a node, with its children: those of many pods, for whom it runs.
import { setTimeout as wait } from 'node:timers/promises';
import type { Tell } from '../../test/harness/progress-line.ts';
import { type Figure, makeFigure } from '../figure.ts';
import { childrenOf, readCpuSeconds, readMemory } from '../proc-numbers.ts';
import type { Api } from './bench-api.ts';
import { type BenchAgent, fillNamespace, NODE_MODE_NAMESPACES, saysGuarded } from './node-mode-setup.ts';

const FEW = { pods: 30, goal: 'value <= 45' } as const;
const MANY = { pods: 110, goal: 'value <= 90' } as const;
const WINDOW_SECONDS = 120;
const SETTLE_SECONDS = 20;
const MB = 1e6;

/** Of as many pods as most benches have, and what they cost while nothing happens. */
export async function benchAgent(api: Api, agent: BenchAgent, tell: Tell): Promise<Figure[]> {
  await fill(api, NODE_MODE_NAMESPACES.guarded, FEW.pods, tell);
  const before = await readCpuSeconds(agent.pid);
  for (let second = 0; second < WINDOW_SECONDS; second++) {
    tell(`node mode: agent idle for ${second} of ${WINDOW_SECONDS} s`);
    await wait(1000);
  }
  const cpu = ((await readCpuSeconds(agent.pid)) - before) / WINDOW_SECONDS;
  const name = `node mode: agent with its children and probes, ${FEW.pods} pods, CPU of one core`;
  return [
    ...describeAgentMemory(await memoryOf(agent.pid), FEW),
    makeFigure({ name, value: cpu * 100, unit: '%', goal: 'value <= 0.3' }),
    makeFigure({ name: `${name}, each pod`, value: (cpu * 100) / FEW.pods, unit: '%' }),
  ];
}

/** Of as many pods as the kubelet takes where it is not told otherwise. */
export async function benchFullNode(api: Api, agent: BenchAgent, tell: Tell): Promise<Figure[]> {
  await fill(api, NODE_MODE_NAMESPACES.burst, MANY.pods, tell);
  return describeAgentMemory(await memoryOf(agent.pid), MANY);
}

/** @param memory bytes: of the agent itself, and of its children */
export function describeAgentMemory(
  { own, children }: { own: number; children: number[] },
  { pods, goal }: typeof FEW | typeof MANY,
): Figure[] {
  const ofChildren = children.reduce((sum, one) => sum + one, 0);
  const name = `node mode: agent, ${pods} pods, private memory`;
  return [
    makeFigure({ name: `${name} with its children`, value: (own + ofChildren) / MB, unit: 'MB', goal }),
    makeFigure({ name: `${name} with its children, each pod`, value: (own + ofChildren) / pods / MB, unit: 'MB' }),
    makeFigure({ name: `${name} of its ${children.length} children`, value: ofChildren / MB, unit: 'MB' }),
  ];
}

async function fill(api: Api, namespace: string, pods: number, tell: Tell): Promise<void> {
  tell(`node mode: starting ${pods} guarded pods`);
  await fillNamespace(api, namespace, pods, saysGuarded);
  await wait(SETTLE_SECONDS * 1000);
}

/** Bytes that would be free without them; a child may just have ended. */
async function memoryOf(pid: number): Promise<{ own: number; children: number[] }> {
  const children = await Promise.all((await childrenOf(pid)).map((child) => readMemory(child).catch(() => undefined)));
  return {
    own: (await readMemory(pid)).private,
    children: children.flatMap((one) => (one === undefined ? [] : [one.private])),
  };
}
