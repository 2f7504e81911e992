// How long it took from finding a pod's network namespace until the pod was guarded: a histogram.

import type { MetricSample } from '../../lib/metric-text.ts';

/** Seconds. */
const BUCKETS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export class StartTimes {
  private readonly times = { buckets: BUCKETS.map((limit) => ({ limit, count: 0 })), count: 0, sum: 0 };

  note(seconds: number): void {
    this.times.count += 1;
    this.times.sum += seconds;
    for (const bucket of this.times.buckets) if (seconds <= bucket.limit) bucket.count += 1;
  }

  samples(): MetricSample[] {
    const { buckets, count, sum } = this.times;
    return [
      ...buckets.map(({ limit, count: value }) => ({ suffix: '_bucket', labels: { le: String(limit) }, value })),
      { suffix: '_bucket', labels: { le: '+Inf' }, value: count },
      { suffix: '_sum', value: sum },
      { suffix: '_count', value: count },
    ];
  }
}
