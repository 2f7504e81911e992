// The demo's first table: what became of connections of which one segment was moved, and what it must show.

import type { ConnectionFate } from '../test/harness/netns/stray-kinds.ts';

/** Ways to run a pod, the columns of the table. */
export const SETUPS = ['no rule', 'rule alone', 'whole cure'] as const;
export type DemoSetup = (typeof SETUPS)[number];

/** Connections of one kind, and how far the segment was moved; the rows of the table. */
export const KINDS = ['upload, far', 'upload, near', 'download, far', 'download, near'] as const;
export type DemoKind = (typeof KINDS)[number];

/** What became of one connection. */
export interface DemoConnection {
  setup: DemoSetup;
  kind: DemoKind;
  fate: ConnectionFate;
  /** From the moved segment to the end of all exchanges, or to where the demo gave up. */
  ms: number;
}

export const OUTCOME_HEADINGS = ['one segment moved', ...SETUPS];

/** One row for each kind. Seconds are those of the slowest connection that is fine. */
export function outcomeRows(outcomes: DemoConnection[]): string[][] {
  return KINDS.map((kind) => [
    kind,
    ...SETUPS.map((setup) => describe(outcomes.filter((one) => one.kind === kind && one.setup === setup))),
  ]);
}

function describe(outcomes: DemoConnection[]): string {
  const parts = (['fine', 'reset', 'stuck'] as const).flatMap((fate) => {
    const some = outcomes.filter((one) => one.fate === fate);
    if (some.length === 0) return [];
    const slowest = Math.max(...some.map(({ ms }) => ms)) / 1000;
    return [`${some.length} ${fate}${fate === 'fine' ? ` (${slowest.toFixed(1)} s)` : ''}`];
  });
  return parts.join(', ');
}

/** A sentence for each setup. */
export function summarizeOutcomes(outcomes: DemoConnection[]): string[] {
  return SETUPS.map((setup) => {
    const all = outcomes.filter((one) => one.setup === setup);
    const count = (fate: ConnectionFate) => all.filter((one) => one.fate === fate).length;
    const name = setup === 'no rule' ? 'Without the rule' : `With the ${setup}`;
    return `${name} ${count('reset')} of ${all.length} connections were reset and ${count('stuck')} hung.`;
  });
}

/**
 * Whether the harm is there without the rule and gone with the whole cure. What the rule alone does depends on the
 * kernel: on older ones, such as Linux 5.10, no connection hangs.
 */
export function areOutcomesAsExpected(outcomes: DemoConnection[]): boolean {
  const isHarmed = ({ fate }: DemoConnection) => fate !== 'fine';
  const cured = outcomes.filter(({ setup }) => setup === 'whole cure');
  const unguarded = outcomes.filter(({ setup }) => setup === 'no rule');
  const everyKind = KINDS.every((kind) => cured.some((one) => one.kind === kind));
  return everyKind && !cured.some(isHarmed) && unguarded.some(isHarmed);
}
