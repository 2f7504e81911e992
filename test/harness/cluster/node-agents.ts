// Node agents as their users install them, and pods that they guard.
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { AGENT_PORT, GUARDED_CONDITION, OPT_IN_LABEL, OWN_NAMESPACE } from '../../../lib/contract.ts';
import type { AgentReport } from '../../../node-agent/pages/agent-report.ts';
import type { Layout } from '../../../tools/cluster/cluster-layout.ts';
import { enterPod } from '../../../tools/cluster/cluster-node.ts';
import { nodesOf } from '../../../tools/cluster/cluster-processes.ts';
import { must } from '../netns/processes.ts';
import { eventually } from '../wait-until.ts';
import { getJson, kubectl } from './kubectl.ts';
import { node, podRuleset } from './node-side.ts';
import { getPod, isReady, type Pod, restartsIn } from './pod-status.ts';
import { plainNamespace } from './test-workloads.ts';
import { askWebhook, install } from './webhook-installation.ts';

export const AGENT = 'invalid-drop-node-agent';
export const DAEMON_SET = [`daemonset/${AGENT}`, '-n', OWN_NAMESPACE];
export const NODE_OVERLAY = fileURLToPath(new URL('../../../manifests/overlays/node', import.meta.url));
const PODS = ['-n', OWN_NAMESPACE, '-l', 'app.kubernetes.io/component=node-agent'];
export const DROPS = /ct state invalid.* drop/;
/** Of one of our rules, to count them. */
export const EACH_DROP = new RegExp(DROPS, 'g');

/** `kubectl apply -k manifests/overlays/node`, then waits until webhook and agents are Ready. */
export async function installNodeMode(): Promise<void> {
  await install(NODE_OVERLAY);
  await agentsReady();
}

export async function agentsReady(): Promise<void> {
  await kubectl(['rollout', 'status', ...DAEMON_SET, '--timeout=120s'], { limit: 130_000 });
}

/** Leaves an installation without agents, so that what comes after is as it was. */
export async function removeAgents(): Promise<void> {
  await kubectl(['delete', ...DAEMON_SET, '--ignore-not-found', '--timeout=60s'], { limit: 70_000 });
}

/** The nodes of the cluster, the first one first. */
export const clusterNodes = (): Promise<Layout[]> => nodesOf(node());

/** The second node's name; where there is one node, its name. */
export async function otherNode(): Promise<string> {
  return (await clusterNodes()).at(-1)?.nodeName ?? '';
}

/** The agent that runs on a node. */
export async function agentOn(nodeName: string): Promise<Pod> {
  return eventually(`an agent runs on ${nodeName}`, async () => {
    const { items } = await getJson<{ items: Pod[] }>('pods', ...PODS);
    return items.find((pod) => pod.spec['nodeName'] === nodeName && isReady(pod) && !pod.metadata['deletionTimestamp']);
  });
}

/** Takes the agents away, as where none has come up yet. @returns what brings them back */
export async function withoutAgents(): Promise<() => Promise<void>> {
  const select = (value: string | null) => {
    const nodeSelector = { 'e2e.invalid-drop.io/node': value };
    const patch = { spec: { template: { spec: { nodeSelector } } } };
    return kubectl(['patch', ...DAEMON_SET, '--type=merge', '-p', JSON.stringify(patch)]);
  };
  await select('none');
  await eventually(
    'no agent is left',
    async () => (await getJson<{ items: Pod[] }>('pods', ...PODS)).items.length === 0,
  );
  return async () => {
    await select(null);
    await agentsReady();
  };
}

export const PLACED_ON_NODE = { [OPT_IN_LABEL]: 'node' };

/** A namespace under `restricted` whose pods agents guard. @param labels beside these */
export function nodeNamespace(t: Test, labels: Record<string, string> = PLACED_ON_NODE): Promise<string> {
  return plainNamespace(t, { 'pod-security.kubernetes.io/enforce': 'restricted', ...labels });
}

/** Sets the label of a namespace; `null` removes it. */
export async function optIn(namespace: string, value: 'enabled' | 'pod' | 'node' | null): Promise<void> {
  await kubectl(['label', 'namespace', namespace, '--overwrite', `${OPT_IN_LABEL}${value ? `=${value}` : '-'}`]);
}

export interface GuardedStatus {
  type: string;
  status: string;
  reason?: string;
  message?: string;
  lastTransitionTime?: string;
}

/** Our condition in a pod's status. */
export function guardedStatus({ status }: Pod): GuardedStatus | undefined {
  return (status.conditions as GuardedStatus[] | undefined)?.find(({ type }) => type === GUARDED_CONDITION);
}

export function hasGate({ spec }: Pod): boolean {
  const gates = (spec['readinessGates'] ?? []) as { conditionType: string }[];
  return gates.some(({ conditionType }) => conditionType === GUARDED_CONDITION);
}

/** Waits until the pod's condition says so. */
export function waitCondition(
  namespace: string,
  name: string,
  wanted: Partial<GuardedStatus>,
  limit?: number,
): Promise<Pod> {
  const ask = async () => {
    const pod = await getPod(namespace, name);
    const own: Partial<GuardedStatus> = guardedStatus(pod) ?? {};
    const isSo = own.status === (wanted.status ?? own.status) && own.reason === (wanted.reason ?? own.reason);
    if (!isSo || own.status === undefined) throw new Error(JSON.stringify({ own, phase: pod.status.phase }));
    return pod;
  };
  return eventually(`${namespace}/${name} has the condition ${JSON.stringify(wanted)}`, ask, limit);
}

/**
 * Waits until the pod's agent says that it is guarded and it is Ready, and looks into its network from the node's side.
 * @throws Error where there is no rule, or more than one of a family
 */
export async function guardedByAgent(namespace: string, name: string): Promise<Pod> {
  await waitCondition(namespace, name, { status: 'True', reason: 'Guarded' });
  const pod = await eventually(`${name} is Ready`, async () => {
    const now = await getPod(namespace, name);
    return isReady(now) && now;
  });
  const ruleset = await podRuleset(namespace, name);
  const rules = ruleset.match(EACH_DROP)?.length ?? 0;
  if (rules !== 2 || !ruleset.includes('table inet invalid-drop'))
    throw new Error(`${name} has ${rules} rules, and one of each family was expected:\n${ruleset}`);
  return pod;
}

/** Whether nothing of ours is in a pod's network. */
export async function isUntouched(namespace: string, name: string): Promise<boolean> {
  return !/invalid/.test(await podRuleset(namespace, name));
}

/** nf_conntrack_tcp_be_liberal of a pod's network. */
export async function beLiberalOf(namespace: string, name: string): Promise<string> {
  const [program = '', ...args] = await enterPod(node(), namespace, name, [
    'sysctl',
    '-n',
    'net.netfilter.nf_conntrack_tcp_be_liberal',
  ]);
  return (await must(program, args)).trim();
}

/** The agent's own report, asked for in its pod: there it names pods. */
export async function agentReport(nodeName: string): Promise<AgentReport> {
  const { metadata } = await agentOn(nodeName);
  const ask = `fetch('http://127.0.0.1:${AGENT_PORT}/selfcheck').then((answer) => answer.text()).then(console.log)`;
  const command = ['exec', metadata.name, '-n', OWN_NAMESPACE, '--', 'node', '-e', ask];
  return JSON.parse(await kubectl(command)) as AgentReport;
}

/** The agent's metrics, through the API server. */
export async function agentMetrics(nodeName: string): Promise<string> {
  const { metadata } = await agentOn(nodeName);
  return kubectl([
    'get',
    '--raw',
    `/api/v1/namespaces/${OWN_NAMESPACE}/pods/${metadata.name}:${AGENT_PORT}/proxy/metrics`,
  ]);
}

/** What changes where a pod or a container of it is started again. */
export function lifeOf(pod: Pod) {
  return { uid: pod.metadata.uid, restarts: restartsIn(pod), address: pod.status.podIP };
}

/** Waits until coverage counts the pods of a namespace under these reasons, and no others. */
export function coverageIs(namespace: string, reasons: Record<string, number>): Promise<true> {
  const wanted = JSON.stringify(Object.entries(reasons).sort());
  const ask = async () => {
    const report = JSON.parse(await askWebhook(`/coverage?namespace=${namespace}`)) as { reasons: object };
    const now = JSON.stringify(Object.entries(report.reasons).sort());
    if (now !== wanted) throw new Error(now);
    return true as const;
  };
  return eventually(`coverage of ${namespace} is ${wanted}`, ask);
}
