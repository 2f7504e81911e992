// Coverage as Prometheus sees it. Every replica watches all pods: aggregate over replicas with max by (namespace,
// reason).
import { Counter, Gauge, type Registry } from 'prom-client';
import { isGuarded, REASONS } from './coverage-reasons.ts';
import type { CoverageSource } from './coverage-report.ts';
import type { Counts } from './coverage-store.ts';
import type { RefusedCreation } from './refused-creations.ts';

/** Namespaces with a label of their own. Kubernetes names hold no parenthesis, so OTHER is none. */
const NAMED_NAMESPACES = 100;
export const OTHER = '(other)';

/** Those with the most pods that are not guarded first; the rest in one sum. Pure. */
export function boundedCounts(all: { namespace: string; counts: Counts }[], limit = NAMED_NAMESPACES) {
  if (all.length <= limit) return all;
  const open = ({ counts }: { counts: Counts }) =>
    REASONS.reduce((sum, reason) => sum + (isGuarded(reason) ? 0 : (counts[reason] ?? 0)), 0);
  const sorted = all.toSorted((a, b) => open(b) - open(a));
  const rest: Counts = {};
  for (const { counts } of sorted.slice(limit)) {
    for (const reason of REASONS) if (counts[reason]) rest[reason] = (rest[reason] ?? 0) + counts[reason];
  }
  return [...sorted.slice(0, limit), { namespace: OTHER, counts: rest }];
}

/** How many owners of each namespace cannot create pods: because of what the webhook adds, and because of anything else. */
export function refusedCounts(refused: RefusedCreation[], limit = NAMED_NAMESPACES) {
  const counts = new Map<string, { ours: number; other: number }>();
  for (const { namespace, namesOurs } of refused) {
    const key = counts.has(namespace) || counts.size < limit ? namespace : OTHER;
    const known = counts.get(key) ?? { ours: 0, other: 0 };
    counts.set(key, { ours: known.ours + (namesOurs ? 1 : 0), other: known.other + (namesOurs ? 0 : 1) });
  }
  return counts;
}

export type CoverageMetrics = ReturnType<typeof createCoverageMetrics>;

/** @param source undefined where coverage is off: the metrics then have no values */
export function createCoverageMetrics(registry: Registry, source: () => CoverageSource | undefined) {
  const registers = [registry];
  new Gauge({
    name: 'invalid_drop_coverage_pods',
    help: 'Pods of opted-in namespaces by reason. At most 100 namespaces have a label of their own, the rest are "(other)".',
    labelNames: ['namespace', 'reason'] as const,
    registers,
    collect() {
      this.reset();
      for (const { namespace, counts } of boundedCounts(source()?.store.counts() ?? [])) {
        for (const reason of REASONS) if (counts[reason]) this.set({ namespace, reason }, counts[reason]);
      }
    },
  });
  new Gauge({
    name: 'invalid_drop_coverage_refused_creations',
    help: 'Owners (ReplicaSets, Jobs ...) of opted-in namespaces whose pods the API server refused within its --event-ttl. cause: invalid-drop, where the refusal names what the webhook adds, or other.',
    labelNames: ['namespace', 'cause'] as const,
    registers,
    collect() {
      this.reset();
      for (const [namespace, { ours, other }] of refusedCounts(source()?.refused() ?? [])) {
        this.set({ namespace, cause: 'invalid-drop' }, ours);
        this.set({ namespace, cause: 'other' }, other);
      }
    },
  });
  new Gauge({
    name: 'invalid_drop_coverage_synced',
    help: '1 if all pods have been listed; 0: the numbers are incomplete.',
    registers,
    collect() {
      this.set(source()?.synced ? 1 : 0);
    },
  });
  const events = new Counter({
    name: 'invalid_drop_coverage_events_total',
    help: 'Events about pods that are left out. result: sent, exists (another replica was first), dropped (too many), failed.',
    labelNames: ['result'] as const,
    registers,
  });
  // A series that begins with its first failure has no increase to alert on.
  for (const result of ['sent', 'exists', 'dropped', 'failed'] as const) events.inc({ result }, 0);
  return { events };
}
