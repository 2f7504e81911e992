// Changes of coverage as log lines: one for each namespace and kind of change, not one for each pod.
import { type CoverageReason, isGuarded } from './coverage-reasons.ts';
import type { Change } from './coverage-store.ts';

const LINES = 50;

export interface ChangeLine {
  namespace: string;
  from: CoverageReason | 'new';
  to: CoverageReason | 'gone';
  pods: number;
  /** One of them. */
  example: string;
}

/** Collects changes until they are taken. Pods that come up guarded, or go, are not news. */
export function createChangeLog() {
  let lines = new Map<string, ChangeLine>();
  return {
    note({ namespace, pod, from, to }: Change): void {
      if (!isNews(from) && !isNews(to)) return;
      const [before, after] = [from ?? 'new', to ?? 'gone'] as const;
      const key = `${namespace} ${before} ${after}`;
      const line = lines.get(key) ?? { namespace, from: before, to: after, pods: 0, example: pod };
      line.pods += 1;
      lines.set(key, line);
    },
    /** The lines since the last call, and how many more there would have been. */
    take(): { lines: ChangeLine[]; more: number } {
      const all = [...lines.values()];
      lines = new Map();
      return { lines: all.slice(0, LINES), more: Math.max(0, all.length - LINES) };
    },
  };
}

function isNews(reason: CoverageReason | undefined): boolean {
  return reason !== undefined && !isGuarded(reason) && reason !== 'starting';
}
