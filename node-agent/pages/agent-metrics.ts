// The agent's metrics (docs/decisions/0002). Pods have labels: a node has 250 at most, and those that go take their
// samples with them.

import { VERSION } from '../../lib/contract.ts';
import { type Metric, type MetricSample, metricText } from '../../lib/metric-text.ts';
import type { PodOutcome } from '../pods/pod-guards.ts';
import { type AgentReportFacts, countStates, type GuardNumbers, type ReportingGuard } from './agent-report.ts';
import type { StartTimes } from './start-times.ts';

/** What the numbers are made of. */
export interface AgentMetricFacts extends Pick<AgentReportFacts<ReportingGuard>, 'conditions' | 'watchFailures'> {
  pods: { outcome: PodOutcome<unknown>; numbers: GuardNumbers | undefined }[];
  starts: Pick<StartTimes, 'samples'>;
}

/** Samples of one metric, whatever happens. */
const MOST_SAMPLES = 500;

const POD = ['namespace', 'pod'];
const labelsOf = ({ pod }: PodOutcome<unknown>) => ({ namespace: pod.namespace, pod: pod.name });

function perPod(samples: (numbers: GuardNumbers) => MetricSample[]): (facts: AgentMetricFacts) => MetricSample[] {
  return ({ pods }) =>
    pods.flatMap(({ outcome, numbers }) =>
      (numbers === undefined ? [] : samples(numbers)).map((sample) => ({
        ...sample,
        labels: { ...labelsOf(outcome), ...sample.labels },
      })),
    );
}

export const AGENT_METRICS: Metric<AgentMetricFacts>[] = [
  {
    name: 'invalid_drop_agent_build_info',
    type: 'gauge',
    help: 'Always 1; the label tells the version.',
    labels: ['version'],
    samples: () => [{ labels: { version: VERSION }, value: 1 }],
  },
  {
    name: 'invalid_drop_agent_pods',
    type: 'gauge',
    help: 'Pods of this node that the agent has to do with, by state.',
    labels: ['state'],
    samples: ({ pods }) =>
      Object.entries(countStates(pods.map(({ outcome }) => outcome))).map(([state, value]) => ({
        labels: { state },
        value,
      })),
  },
  {
    name: 'invalid_drop_agent_pod_guarded',
    type: 'gauge',
    help: 'For each pod that the agent is to guard: 1 while every INVALID packet that has no socket of its own is certain to be dropped.',
    labels: POD,
    samples: ({ pods }) =>
      pods
        .map(({ outcome }) => outcome)
        .filter(({ state }) => state !== 'left-alone' && state !== 'withdrawing')
        .map((one) => ({ labels: labelsOf(one), value: one.state === 'guarded' ? 1 : 0 })),
  },
  {
    name: 'invalid_drop_agent_dropped_packets_total',
    type: 'counter',
    help: 'INVALID packets that the rules in the pod dropped, since this agent has guarded it.',
    labels: [...POD, 'family'],
    samples: perPod(({ dropped }) => Object.entries(dropped).map(([family, value]) => ({ labels: { family }, value }))),
  },
  {
    name: 'invalid_drop_agent_drift_total',
    type: 'counter',
    help: 'Times that the guarded pod was found unguarded.',
    labels: POD,
    samples: perPod(({ drift }) => [{ value: drift }]),
  },
  {
    name: 'invalid_drop_agent_repairs_total',
    type: 'counter',
    help: 'Repairs tried in the pod, by result.',
    labels: [...POD, 'result'],
    samples: perPod(({ repairs, repairFailures }) => [
      { labels: { result: 'guarded' }, value: repairs },
      { labels: { result: 'failed' }, value: repairFailures },
    ]),
  },
  {
    name: 'invalid_drop_agent_connections_rescued_total',
    type: 'counter',
    help: 'Connections of the pod that had stray segments and were made liberal in conntrack, so that they do not hang.',
    labels: POD,
    samples: perPod(({ rescued }) => [{ value: rescued }]),
  },
  {
    name: 'invalid_drop_agent_tcp_be_liberal',
    type: 'gauge',
    help: 'net.netfilter.nf_conntrack_tcp_be_liberal of the pod.',
    labels: POD,
    samples: perPod(({ liberal }) => [{ value: liberal === null ? null : Number(liberal) }]),
  },
  {
    name: 'invalid_drop_agent_start_seconds',
    type: 'histogram',
    help: "Time from finding a pod's network namespace until the pod was guarded.",
    labels: [],
    samples: ({ starts }) => starts.samples(),
  },
  {
    name: 'invalid_drop_agent_condition_writes_total',
    type: 'counter',
    help: 'Conditions written to the status of pods, by result: written, gone (the pod), refused (by RBAC or a policy) or failed.',
    labels: ['result'],
    samples: ({ conditions }) =>
      Object.entries(conditions.results).map(([result, value]) => ({ labels: { result }, value })),
  },
  {
    name: 'invalid_drop_agent_conditions_waiting',
    type: 'gauge',
    help: 'Pods whose condition is still to be written.',
    labels: [],
    samples: ({ conditions }) => [{ value: conditions.waiting }],
  },
  {
    name: 'invalid_drop_agent_watch_failures_total',
    type: 'counter',
    help: 'Lists and watches of the API server that failed.',
    labels: ['collection'],
    samples: ({ watchFailures }) =>
      Object.entries(watchFailures).map(([collection, value]) => ({ labels: { collection }, value })),
  },
];

export function renderAgentMetrics<Guard extends ReportingGuard>(
  facts: AgentReportFacts<Guard>,
  starts: AgentMetricFacts['starts'],
): string {
  const { conditions, watchFailures, numbersOf } = facts;
  const pods = facts.pods.map((outcome) => ({
    outcome,
    numbers: outcome.guard === undefined ? undefined : numbersOf(outcome.guard),
  }));
  return metricText(AGENT_METRICS, { conditions, watchFailures, pods, starts }, MOST_SAMPLES);
}
