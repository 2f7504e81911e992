// The network namespaces of the node over the time of a watch: scanned again when something new may be there, each with
// what it has counted since the watch began.
import type { Counts, Scanned } from './node-namespaces.ts';
import type { Namespace } from './reset-origin.ts';

/** Milliseconds for which a scan is good enough. */
const FRESH = 1000;

export interface Census {
  /** Reads anew what is counted: once for all resets that were seen at once. */
  refresh(): void;
  /** The namespaces as they were when they were read last. */
  namespaces(): Namespace[];
  /** One INVALID packet of the namespace has found its reset: it explains no second one. */
  explained(id: string): void;
}

/**
 * Takes the first scan at once. A namespace that is found later was made later, so that all it has counted counts.
 * @param scan reads all namespaces
 * @param count reads what a process's namespace has counted by now
 * @param now milliseconds
 */
export function makeCensus(scan: () => Scanned[], count: (pid: string) => Counts, now: () => number): Census {
  let [scanned, at] = [scan(), now()];
  const first = new Map(scanned.map(({ id, counts }) => [id, counts]));
  const used = new Map<string, number>();
  const toNamespace = ({ pid: _, counts, ...rest }: Scanned): Namespace => {
    const before = first.get(rest.id) ?? { invalid: 0, resets: 0 };
    const invalidGrew = grew(before.invalid, counts.invalid);
    return {
      ...rest,
      invalidGrew: invalidGrew === null ? null : invalidGrew - (used.get(rest.id) ?? 0),
      resetsGrew: grew(before.resets, counts.resets),
    };
  };
  return {
    refresh: () => {
      const counted = scanned.map((one) => ({ ...one, counts: count(one.pid) }));
      // A process has ended, by which its namespace was read.
      const gone = counted.some(({ counts }, i) => counts.resets === null && scanned[i]?.counts.resets !== null);
      if (gone || now() - at > FRESH) [scanned, at] = [scan(), now()];
      else scanned = counted;
    },
    namespaces: () => scanned.map(toNamespace),
    explained: (id) => void used.set(id, (used.get(id) ?? 0) + 1),
  };
}

function grew(before: number | null, after: number | null): number | null {
  return before === null || after === null ? null : after - before;
}
