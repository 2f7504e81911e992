// Node mode as its users install it, guarded pods in it, and what the agent says of them.
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { AGENT_PORT, GUARDED_CONDITION, OWN_NAMESPACE } from '../../lib/contract.ts';
import { kubectl } from '../../test/harness/cluster/kubectl.ts';
import { isReady } from '../../test/harness/cluster/pod-status.ts';
import { install, MANIFESTS } from '../../test/harness/cluster/webhook-installation.ts';
import { must } from '../../test/harness/netns/processes.ts';
import type { Tell } from '../../test/harness/progress-line.ts';
import { eventually } from '../../test/harness/wait-until.ts';
import type { Layout } from '../../tools/cluster/cluster-layout.ts';
import { type Api, type ApiJson, inParallel } from './bench-api.ts';
import { addNamespaces, namespaceFor, pendingPod, podIn, podsOf } from './bench-pods.ts';
import { programOf } from './webhook-replicas.ts';

const AGENT = 'daemonset/invalid-drop-node-agent';
const AGENTS = `${podsOf(OWN_NAMESPACE)}?labelSelector=app.kubernetes.io/component%3Dnode-agent`;
const READY_LIMIT = 400_000;

/** Milliseconds since 1970: when the cure was in, and when the agent had read it back and judged it. */
export interface CureTimes {
  putInAt: number;
  guardedAt: number;
}

/** The agent of the only node. */
export interface BenchAgent {
  pid: number;
  /** Of each pod; undefined where it is not guarded. */
  timesOf(namespace: string, pods: string[]): Promise<(CureTimes | undefined)[]>;
}

/** Installs the agents, once. @param namespace of pods that they guard, which is made where it is not there */
export async function installNodeMode(api: Api, layout: Layout, namespace: string, tell: Tell): Promise<BenchAgent> {
  tell('node mode: installing');
  await install(join(MANIFESTS, 'overlays/node'));
  await kubectl(['rollout', 'status', AGENT, '-n', OWN_NAMESPACE, '--timeout=120s'], { limit: 130_000 });
  const { items } = await api.ask('GET', '/api/v1/namespaces');
  if (!items.some(({ metadata }: ApiJson) => metadata.name === namespace))
    await addNamespaces(api, [namespace], 'node');
  await eventually('a pod of a namespace with the label value node gets the gate', async () =>
    hasGate(await api.ask('POST', `${podsOf(namespace)}?dryRun=All`, pendingPod(namespace, 'tried'))),
  );
  return findAgent(api, layout);
}

export async function removeAgents(): Promise<void> {
  await kubectl(['delete', AGENT, '-n', OWN_NAMESPACE, '--ignore-not-found', '--timeout=60s']);
}

async function findAgent(api: Api, layout: Layout): Promise<BenchAgent> {
  const { items } = await api.ask('GET', AGENTS);
  const [agent] = items.filter(({ metadata }: ApiJson) => metadata.deletionTimestamp === undefined);
  if (!agent) throw new Error('there is no agent');
  const pid = await programOf(layout, OWN_NAMESPACE, agent.metadata.name, 'agent.js');
  return { pid, timesOf: (namespace, pods) => timesOf(pid, namespace, pods) };
}

/** Asks from the agent's own network: nobody else is told of single pods. */
const ASK = `(async ([port, namespace, ...pods]) => {
  const times = [];
  for (const pod of pods) {
    const answer = await fetch('http://127.0.0.1:' + port + '/selfcheck?pod=' + namespace + '/' + pod);
    const { putInAt, guardedAt } = (answer.ok && (await answer.json()).guard) || {};
    times.push(putInAt && guardedAt ? { putInAt, guardedAt } : null);
  }
  console.log(JSON.stringify(times));
})(process.argv.slice(1))`;

async function timesOf(pid: number, namespace: string, pods: string[]): Promise<(CureTimes | undefined)[]> {
  const ask = [process.execPath, '-e', ASK, '--', String(AGENT_PORT), namespace, ...pods];
  const printed = await must('nsenter', ['--target', String(pid), '--net', '--', ...ask]);
  return (JSON.parse(printed) as (CureTimes | null)[]).map((times) => times ?? undefined);
}

/** Whether the webhook has made the pod wait for the agent. */
export function hasGate({ spec }: ApiJson): boolean {
  return (spec.readinessGates ?? []).some(({ conditionType }: ApiJson) => conditionType === GUARDED_CONDITION);
}

/** Whether the agent says of the pod that it is guarded. */
export function saysGuarded({ status }: ApiJson): boolean {
  return (status.conditions ?? []).some(
    ({ type, status: is, reason }: ApiJson) => type === GUARDED_CONDITION && is === 'True' && reason === 'Guarded',
  );
}

/**
 * Makes pods until a namespace has so many that are as wanted, those that are there already among them.
 * @returns the pods
 */
export async function fillNamespace(
  api: Api,
  namespace: string,
  count: number,
  isAsWanted: (pod: ApiJson) => boolean,
): Promise<ApiJson[]> {
  const there = (await api.ask('GET', podsOf(namespace))).items.length;
  await inParallel(Math.max(0, count - there), (i) =>
    api.ask('POST', podsOf(namespace), podIn(namespace, `filled-${there + i}`)),
  );
  const wanted = async () => {
    const pods = (await api.ask('GET', podsOf(namespace))).items.filter(
      (pod: ApiJson) => isReady(pod) && isAsWanted(pod),
    );
    return pods.length >= count && pods.slice(0, count);
  };
  return eventually(`${count} pods of ${namespace} are Ready`, wanted, READY_LIMIT);
}

/** Deletes namespaces, and waits until their pods are gone from the node. */
export async function clearAway(api: Api, namespaces: string[]): Promise<void> {
  const there = async () => {
    const { items } = await api.ask('GET', '/api/v1/namespaces');
    return items.filter(({ metadata }: ApiJson) => namespaces.includes(metadata.name));
  };
  for (const { metadata } of await there()) await api.ask('DELETE', `/api/v1/namespaces/${metadata.name}`);
  await eventually('namespaces are cleared away', async () => (await there()).length === 0, READY_LIMIT);
}

/** @returns milliseconds from the call until the agent says of `count` pods of a namespace that they are guarded */
export async function untilGuarded(
  api: Api,
  namespace: string,
  count: number,
  begin: () => Promise<unknown>,
): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const guarded = new Set<string>();
  const watch = api.watch(podsOf(namespace), (pod) => {
    if (saysGuarded(pod)) guarded.add(pod.metadata.uid);
    if (guarded.size >= count) resolve();
  });
  const timeout = setTimeout(() => reject(new Error(`${guarded.size} of ${count} pods were guarded`)), READY_LIMIT);
  try {
    const started = performance.now();
    await begin();
    await promise;
    return performance.now() - started;
  } finally {
    clearTimeout(timeout);
    watch.stop();
  }
}

/** Of this run. */
export const NODE_MODE_NAMESPACES = {
  guarded: namespaceFor('node'),
  plain: namespaceFor('node-plain'),
  labelled: namespaceFor('node-labelled'),
  burst: namespaceFor('node-burst'),
};
