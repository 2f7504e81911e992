// Counts resets by pod and kind. Bounded: pods of the node times kinds.
import type { ResetKind } from '../../lib/resets/reset-kind.ts';

/** In place of a pod's namespace and name, for resets of which no known pod is the sender. */
export const OTHER = '(other)';

export interface PodResets {
  namespace: string;
  pod: string;
  kind: ResetKind;
  resets: number;
}

/** All that the watch tells, for pages and metrics. */
export interface ResetCounts {
  /** Whether the kernel reports resets to this agent now. */
  watching: boolean;
  /** Why it does not; null while it does. */
  problem: string | null;
  resets: PodResets[];
  /** Resets that the kernel had no room for, or that came faster than they are read. */
  lost: number;
}

/** Resets by pod and kind; those of a pod go with it. */
export class PodResetCounter {
  private readonly pods = new Map<string, { namespace: string; pod: string; kinds: Map<ResetKind, number> }>();

  /** @param pod undefined: no pod that is known */
  add(pod: { namespace: string; pod: string } | undefined, kind: ResetKind): void {
    const { namespace, pod: name } = pod ?? { namespace: OTHER, pod: OTHER };
    const key = `${namespace}/${name}`;
    const counted = this.pods.get(key) ?? { namespace, pod: name, kinds: new Map() };
    counted.kinds.set(kind, (counted.kinds.get(kind) ?? 0) + 1);
    this.pods.set(key, counted);
  }

  /** Forgets all other pods. */
  keep(pods: Iterable<{ namespace: string; pod: string }>): void {
    const kept = new Set([`${OTHER}/${OTHER}`]);
    for (const { namespace, pod } of pods) kept.add(`${namespace}/${pod}`);
    for (const key of this.pods.keys()) if (!kept.has(key)) this.pods.delete(key);
  }

  all(): PodResets[] {
    return [...this.pods.values()].flatMap(({ namespace, pod, kinds }) =>
      [...kinds].map(([kind, resets]) => ({ namespace, pod, kind, resets })),
    );
  }
}
