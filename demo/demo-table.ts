// The rows of the demo's table, and what each phase must show.

import type { Backend } from '../lib/netfilter/model.ts';
import type { Family } from '../lib/netfilter/packet.ts';

export type DemoPhase = 'no rule' | 'whole cure' | 'rule removed by hand';

/** What a phase showed. */
export interface DemoOutcome {
  phase: DemoPhase;
  uploads: number;
  /** Uploads that a reset ended, and those that passed: one that fails in another way is neither. */
  resets: number;
  passed: number;
  /** Segments that were pushed out of the window, and packets that the rule dropped. */
  strays: number;
  dropped: number;
  /** Whether our container said and did what it must in this phase. */
  proven: boolean;
}

/** One row of the demo's table. */
export interface DemoRow extends DemoOutcome {
  backend: Backend;
  family: Family;
  /** Median of the uploads that passed, in MB/s; undefined where none did. */
  throughput: number | undefined;
  checker: string;
  ok: boolean;
}

/** Whether a phase showed what it must. Without a segment out of the window, uploads prove nothing. */
export function isAsExpected({ phase, uploads, resets, passed, strays, dropped, proven }: DemoOutcome): boolean {
  if (strays === 0 || !proven) return false;
  return phase === 'no rule' ? resets === uploads : passed === uploads && dropped > 0;
}

export const HEADINGS = ['iptables', 'family', 'phase', 'uploads', 'reset', 'MB/s', 'stray', 'dropped', 'checker', ''];

/** One row as it is shown. */
export function toCells(row: DemoRow): (string | number)[] {
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
