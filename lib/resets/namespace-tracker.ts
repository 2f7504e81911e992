// The node's network namespaces during a watch, each with what it has counted since the watch began.
import type { ResetEvidence } from './classified-reset.ts';
import type { NodeNamespaceCounters } from './namespace-net.ts';
import type { NodeNamespace, ScannedNamespace } from './node-namespaces.ts';

/** Milliseconds after which the namespaces are scanned again. */
const RESCAN_AFTER = 1000;

export type NamespaceTracker = Pick<ResetEvidence, 'namespaces' | 'useInvalidPacket'> & {
  /** Reads all counters again: once for all resets that were read together. */
  refresh(): void;
};

/**
 * Takes the first scan at once. A namespace that a later scan finds is new, so its counters started at 0.
 * @param scan reads all namespaces
 * @param readCounters reads the counters of a process's namespace
 * @param now milliseconds
 */
export function makeNamespaceTracker(
  scan: () => ScannedNamespace[],
  readCounters: (pid: string) => NodeNamespaceCounters,
  now: () => number,
): NamespaceTracker {
  let [scanned, at] = [scan(), now()];
  const first = new Map(scanned.map(({ id, counters }) => [id, counters]));
  const used = new Map<string, number>();
  const toNamespace = ({ pid: _, counters, ...rest }: ScannedNamespace): NodeNamespace => {
    const before = first.get(rest.id) ?? { invalid: 0, resets: 0 };
    const invalidGrew = difference(before.invalid, counters.invalid);
    return {
      ...rest,
      invalidGrew: invalidGrew === null ? null : invalidGrew - (used.get(rest.id) ?? 0),
      resetsGrew: difference(before.resets, counters.resets),
    };
  };
  return {
    refresh: () => {
      const reread = scanned.map((one) => ({ ...one, counters: readCounters(one.pid) }));
      // Counters that were readable no longer are: the process has ended, and another one must be found.
      const ended = reread.some(({ counters }, i) => counters.resets === null && scanned[i]?.counters.resets !== null);
      if (ended || now() - at > RESCAN_AFTER) [scanned, at] = [scan(), now()];
      else scanned = reread;
    },
    namespaces: () => scanned.map(toNamespace),
    useInvalidPacket: (id) => void used.set(id, (used.get(id) ?? 0) + 1),
  };
}

function difference(before: number | null, after: number | null): number | null {
  return before === null || after === null ? null : after - before;
}
