// Starts, stops and kills one component of a cluster.
import { readFile } from 'node:fs/promises';
import { errors } from './cluster-errors.ts';
import { argumentsOf, COMPONENTS, type Component } from './components.ts';
import { startDaemon } from './daemon.ts';
import type { Layout } from './layout.ts';
import { enterNode } from './node-namespaces-holder.ts';
import { livingPid } from './process-record.ts';
import { serves } from './serves.ts';
import { until } from './wait-until.ts';

const SERVE_LIMIT = 120_000;
const END_LIMIT = 15_000;
const LAST_LINES = 5;

/**
 * Starts a component and waits until it does its work. It may already run.
 * @throws CodedError CLUSTER_ENDED, CLUSTER_TIMEOUT
 */
export async function startComponent(layout: Layout, component: Component): Promise<void> {
  await launchComponent(layout, component);
  await waitUntilServes(layout, component);
}

/** Waits until a component that was started does its work; the signal ends the wait. */
export async function waitUntilServes(layout: Layout, component: Component, signal?: AbortSignal): Promise<void> {
  const ask = async () => {
    if ((await pidOf(layout, component)) === undefined) throw await endedError(layout, component);
    return serves(layout, component);
  };
  if (await until(ask, SERVE_LIMIT, signal)) return;
  throw errors.CLUSTER_TIMEOUT(`an answer of ${component}`, SERVE_LIMIT, layout.logs);
}

/** Starts a component and does not wait. Nothing happens where it runs. */
export async function launchComponent(layout: Layout, component: Component): Promise<void> {
  if (await pidOf(layout, component)) return;
  const command = [component, ...argumentsOf(component, layout)];
  await startDaemon(layout, component, await enterNode(layout, command));
}

/** Asks a component to end, by SIGTERM, and kills it where it does not within 15 s. Containers go on. */
export function stopComponent(layout: Layout, component: Component): Promise<void> {
  return end(layout, component, 'SIGTERM');
}

/** Kills a component and waits for its end. */
export function killComponent(layout: Layout, component: Component): Promise<void> {
  return end(layout, component, 'SIGKILL');
}

/** Id of a component's process where it runs. */
export function pidOf(layout: Layout, component: Component | 'node'): Promise<number | undefined> {
  return livingPid(`${layout.pids}/${component}`);
}

/** Components that do not run. */
export async function endedComponents(layout: Layout): Promise<Component[]> {
  const pids = await Promise.all(COMPONENTS.map((component) => pidOf(layout, component)));
  return COMPONENTS.filter((_, index) => pids[index] === undefined);
}

/** The error of a component that has ended, with the end of its log. */
export async function endedError(layout: Layout, component: Component) {
  const file = `${layout.logs}/${component}.log`;
  const lines = (await readFile(file, 'utf8').catch(() => '')).trim().split('\n');
  return errors.CLUSTER_ENDED(component, `${file}: ${lines.slice(-LAST_LINES).join('\n')}`);
}

async function end(layout: Layout, component: Component, signal: NodeJS.Signals): Promise<void> {
  const ended = async () => (await pidOf(layout, component)) === undefined;
  const pid = await pidOf(layout, component);
  if (pid === undefined) return;
  process.kill(pid, signal);
  if (await until(ended, END_LIMIT)) return;
  process.kill(pid, 'SIGKILL');
  if (!(await until(ended, END_LIMIT))) throw errors.CLUSTER_TIMEOUT(`the end of ${component}`, END_LIMIT, layout.logs);
}
