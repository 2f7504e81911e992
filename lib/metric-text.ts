// Prometheus' text format (version 0.0.4), written by hand: prom-client would cost a small program more memory than all
// the rest of it (docs/decisions/0002). The documentation's tables are made from the same descriptions.

/** One line: a number with its labels. A number that is not known is left out, not 0. */
export interface MetricSample {
  /** After the metric's name: a histogram has `_bucket`, `_sum` and `_count`. */
  suffix?: string;
  labels?: Record<string, string>;
  value: number | null;
}

/** A metric, and how its samples are made from a report. */
export interface Metric<Report> {
  name: string;
  type: 'gauge' | 'counter' | 'histogram';
  help: string;
  labels: string[];
  samples(report: Report): MetricSample[];
}

/** What a page of metrics answers. */
export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** @param most samples of one metric; those beyond are left out */
export function metricText<Report>(metrics: Metric<Report>[], report: Report, most = Number.POSITIVE_INFINITY): string {
  return metrics.map((metric) => textOf(metric, report, most)).join('');
}

function textOf<Report>({ name, type, help, samples }: Metric<Report>, report: Report, most: number): string {
  const known = samples(report).filter(({ value }) => value !== null);
  const lines = known
    .slice(0, most)
    .map(({ suffix = '', labels, value }) => `${name}${suffix}${labelText(labels)} ${value}\n`);
  return lines.length === 0 ? '' : `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`;
}

function labelText(labels: MetricSample['labels']): string {
  if (!labels) return '';
  const escaped = (text: string) => text.replace(/[\\"\n]/g, (char) => (char === '\n' ? '\\n' : `\\${char}`));
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return `{${pairs.join(',')}}`;
}
