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

/** Bytes. `unbacked` is memory that no file backs; `private` has the pages of files that no other process maps, too. */
export interface AgentMemory {
  own: { unbacked: number; private: number };
  children: { unbacked: number; private: number }[];
}

/**
 * What the agent costs is judged without the pages of Node's binary, as is what checkers cost: these share them, and a
 * node without checkers and without a replica of the webhook has them for the agent alone.
 */
export function describeAgentMemory(
  { own, children }: AgentMemory,
  { pods, goal }: typeof FEW | typeof MANY,
): Figure[] {
  const sum = (of: 'unbacked' | 'private') => children.reduce((bytes, one) => bytes + one[of], own[of]);
  const [unbacked, all] = [sum('unbacked') / MB, sum('private') / MB];
  const name = `node mode: agent and ${children.length} children, ${pods} pods`;
  return [
    makeFigure({ name: `${name}, memory of their own`, value: unbacked, unit: 'MB', goal }),
    makeFigure({ name: `${name}, memory of their own, each pod`, value: unbacked / pods, unit: 'MB' }),
    makeFigure({ name: `${name}, with files that only they map`, value: all, unit: 'MB' }),
    makeFigure({ name: `${name}, of which the children`, value: unbacked - own.unbacked / MB, unit: 'MB' }),
  ];
}

async function fill(api: Api, namespace: string, pods: number, tell: Tell): Promise<void> {
  tell(`node mode: starting ${pods} guarded pods`);
  await fillNamespace(api, namespace, pods, saysGuarded);
  await wait(SETTLE_SECONDS * 1000);
}

/** A child may just have ended. */
async function memoryOf(pid: number): Promise<AgentMemory> {
  const read = async (one: number) => {
    const { anonymous, private: all } = await readMemory(one);
    return { unbacked: anonymous, private: all };
  };
  const children = await Promise.all((await childrenOf(pid)).map((child) => read(child).catch(() => undefined)));
  return { own: await read(pid), children: children.filter((one) => one !== undefined) };
}
