// What grew between two samples of a pod's evidence.
import { type EvidenceSample, type NamespaceCounters, redirectionModes } from './evidence.ts';

export interface Growth {
  invalid: number;
  resets: number;
  /** Established connections that ended by a reset, sent or received. */
  cut: number | null;
  /** Null where the deciding rules keep no count, or changed. */
  dropped: number | null;
  droppedBefore: number | null;
}

/** What grew, or in words why that is not known. */
export function growth(before: EvidenceSample, after: EvidenceSample): Growth | string {
  const grew = (name: keyof NamespaceCounters) => difference(before.counters[name], after.counters[name]);
  const resets = grew('outRsts');
  if (resets === undefined)
    return 'The resets sent are not counted here: /proc/net/snmp cannot be read, or started anew.';
  const invalid = before.counters.conntrackInvalid === null ? 0 : grew('conntrackInvalid');
  if (invalid === undefined || (invalid === 0 && !conntrackCounts(after))) {
    return 'Packets that are INVALID are not counted here: /proc/net/stat/nf_conntrack cannot be read, or started anew.';
  }
  const [first, last] = [before.rules, after.rules].map((rules) => ('unreadable' in rules ? null : rules.dropped));
  return {
    invalid,
    resets,
    cut: grew('estabResets') ?? null,
    dropped: difference(first ?? null, last ?? null) ?? null,
    droppedBefore: first ?? null,
  };
}

/** Without any rule that redirects no packet needs to be INVALID for the answer; else the count must be there. */
function conntrackCounts({ counters, rules }: EvidenceSample): boolean {
  if (counters.conntrackInvalid !== null) return true;
  return !('unreadable' in rules) && redirectionModes(rules).every((mode) => mode === 'none');
}

function difference(before: unknown, after: unknown): number | undefined {
  if (typeof before !== 'number' || typeof after !== 'number' || after < before) return undefined;
  return after - before;
}
