// What the agent says of itself and of the pods of its node: for /selfcheck, /metrics and the command. Pure.

import type { StrayPeer } from '../../lib/checker/rescuer.ts';
import { type NodeMode, VERSION } from '../../lib/contract.ts';
import type { Family } from '../../lib/netfilter/packet.ts';
import { textTable } from '../../lib/text-table.ts';
import { GUARDED_POD_STATES, type GuardedPodState, type PodOutcome } from '../pods/pod-guards.ts';
import type { WriteResult } from '../status/condition-writer.ts';

/** Numbers of one pod, since the agent has guarded it. */
export interface GuardNumbers {
  /** Packets that the rules dropped. */
  dropped: Partial<Record<Family, number>>;
  drift: number;
  repairs: number;
  repairFailures: number;
  rescued: number;
  /** Those that sent stray segments last; known only where connections are rescued one by one. */
  peers: StrayPeer[];
  /** Milliseconds since 1970: when this agent put the rules in; undefined where one was there before. */
  since: number | undefined;
  /** nf_conntrack_tcp_be_liberal in its namespace; null where that is not known. */
  liberal: boolean | null;
}

/** A guard, as far as reports are concerned. */
export interface ReportingGuard {
  /** All that is known of the pod, as plain data. */
  report(): object;
}

/** What is read for a report. */
export interface AgentReportFacts<Guard extends ReportingGuard> {
  node: string;
  nodeMode: NodeMode;
  /** Whether the first list has come. */
  listed: { pods: boolean; namespaces: boolean };
  watchFailures: { pods: number; namespaces: number };
  /** Whether the agent can read these folders now. */
  folders: { cniCache: boolean; netns: boolean };
  conditions: { results: Record<WriteResult, number>; waiting: number };
  pods: PodOutcome<Guard>[];
  numbersOf(guard: Guard): GuardNumbers;
}

/** Pods that are named in one answer. A node has 250 at most. */
const NAMED_PODS = 500;

const NAMES =
  'only from the pod itself: kubectl exec -n invalid-drop-system POD -- node /opt/invalid-drop/agent.js selfcheck';

/** @param named whether who asks may know the names of pods */
export function agentReport<Guard extends ReportingGuard>(facts: AgentReportFacts<Guard>, named: boolean) {
  const { node, nodeMode, listed, watchFailures, folders, conditions, pods } = facts;
  const problems = problemsOf(facts);
  return {
    version: VERSION,
    node,
    nodeMode,
    ok: problems.length === 0,
    problems,
    listed,
    watchFailures,
    folders,
    conditions,
    states: countStates(pods),
    pods: named ? pods.slice(0, NAMED_PODS).map((pod) => lineOf(pod, facts)) : undefined,
    names: named ? undefined : NAMES,
  };
}

export type AgentReport = ReturnType<typeof agentReport>;

/** The whole of one pod; undefined where the agent has nothing to do with it. */
export function podReport<Guard extends ReportingGuard>({ pods, numbersOf }: AgentReportFacts<Guard>, name: string) {
  const found = pods.find(({ pod }) => `${pod.namespace}/${pod.name}` === name);
  if (found === undefined) return undefined;
  const { pod, sandbox, guard } = found;
  return {
    ...lineOf(found, { numbersOf }),
    ...{ uid: pod.uid, addresses: pod.addresses, gate: pod.gate, condition: pod.condition ?? null },
    ...{ options: pod.options, wrongAnnotations: pod.wrong },
    sandbox: sandbox ?? null,
    guard: guard?.report() ?? null,
  };
}

export type AgentPodReport = NonNullable<ReturnType<typeof podReport>>;

/** How many pods are in each state, zeros among them. */
export function countStates(pods: Pick<PodOutcome<unknown>, 'state'>[]): Record<GuardedPodState, number> {
  const counts = Object.fromEntries(GUARDED_POD_STATES.map((state) => [state, 0])) as Record<GuardedPodState, number>;
  for (const { state } of pods) counts[state] += 1;
  return counts;
}

const BAD: readonly GuardedPodState[] = ['not-guarded', 'cannot-tell', 'no-namespace'];

function problemsOf({
  listed,
  folders,
  conditions,
  pods,
}: Omit<AgentReportFacts<ReportingGuard>, 'numbersOf'>): string[] {
  const counts = countStates(pods);
  return [
    ...Object.entries(listed).flatMap(([what, is]) => (is ? [] : [`the ${what} have not been listed yet`])),
    ...(folders.cniCache || folders.netns ? [] : ["neither the CNI cache nor the node's namespaces can be read"]),
    ...(conditions.results.refused > 0 ? [`${conditions.results.refused} conditions were refused`] : []),
    ...BAD.flatMap((state) => (counts[state] > 0 ? [`${counts[state]} pods are ${state}`] : [])),
  ];
}

function lineOf<Guard extends ReportingGuard>(
  { pod, state, reason, sandbox, guard, liberal }: PodOutcome<Guard>,
  { numbersOf }: Pick<AgentReportFacts<Guard>, 'numbersOf'>,
) {
  const numbers = guard === undefined ? undefined : numbersOf(guard);
  return {
    namespace: pod.namespace,
    pod: pod.name,
    state,
    reason,
    dropped: Object.values(numbers?.dropped ?? {}).reduce((sum, packets) => sum + packets, 0),
    drift: numbers?.drift ?? 0,
    repairs: numbers?.repairs ?? 0,
    repairFailures: numbers?.repairFailures ?? 0,
    rescued: numbers?.rescued ?? 0,
    liberal: numbers?.liberal ?? liberal ?? null,
    foundBy: sandbox?.foundBy ?? null,
  };
}

const HEADINGS = ['NAMESPACE', 'POD', 'STATE', 'DROPPED', 'DRIFT', 'REPAIRS', 'RESCUED', 'LIBERAL', 'REASON'];
const NUMERIC = [3, 4, 5, 6];

/** The report for a terminal. */
export function agentTable({ node, ok, problems, states, pods = [] }: AgentReport): string {
  const counted = Object.entries(states).flatMap(([state, count]) => (count > 0 ? [`${count} ${state}`] : []));
  const rows = pods.map((one) => [
    ...[one.namespace, one.pod, one.state, String(one.dropped), String(one.drift), String(one.repairs)],
    ...[String(one.rescued), one.liberal === null ? '' : one.liberal ? 'yes' : 'no', one.reason],
  ]);
  const summary = textTable([[`${node}:`, counted.join(', ') || 'no pods', ok ? 'ok' : problems.join('; ')]]);
  return rows.length === 0 ? summary : `${summary}\n${textTable([HEADINGS, ...rows], NUMERIC)}`;
}
