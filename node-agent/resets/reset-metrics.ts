// The metrics of the watch of resets.
import type { Metric } from '../../lib/metric-text.ts';
import type { ResetCounts } from './reset-counts.ts';

/** Every metric of the watch. Labels are bounded: the pods of the node that sent resets, and the kinds that occurred. */
export const RESET_METRICS: Metric<ResetCounts>[] = [
  {
    name: 'invalid_drop_resets_total',
    type: 'counter',
    help: 'TCP resets that the kernel sent, by pod and cause (docs/diagnose.md). this-bug: the rule prevents it. (other): the sender is no pod that this agent guards.',
    labels: ['namespace', 'pod', 'kind'],
    samples: ({ resets }) =>
      resets.map(({ namespace, pod, kind, resets }) => ({ labels: { namespace, pod, kind }, value: resets })),
  },
  {
    name: 'invalid_drop_reset_events_lost_total',
    type: 'counter',
    help: 'Resets that the kernel sent and the agent did not read, because there were too many.',
    labels: [],
    samples: ({ lost }) => [{ value: lost }],
  },
  {
    name: 'invalid_drop_resets_watched',
    type: 'gauge',
    help: '1 while the kernel reports every reset to the agent.',
    labels: [],
    samples: ({ watching }) => [{ value: watching ? 1 : 0 }],
  },
];
