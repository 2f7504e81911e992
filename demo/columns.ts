// The columns of the demo's table.
import type { Row } from './scenario.ts';

export const HEADINGS = ['iptables', 'family', 'phase', 'uploads', 'reset', 'MB/s', 'stray', 'dropped', 'checker', ''];

/** One row as it is shown. */
export function toCells(row: Row): (string | number)[] {
  const throughput = row.throughput === undefined ? '' : Math.round(row.throughput);
  const { backend, family, phase, uploads, resets, strays, dropped, checker, ok } = row;
  return [
    backend,
    family,
    phase,
    uploads,
    resets,
    throughput,
    strays,
    dropped,
    checker,
    ok ? 'as expected' : 'NOT AS EXPECTED',
  ];
}
