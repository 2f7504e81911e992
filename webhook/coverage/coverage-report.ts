// GET /coverage: the report as JSON and as a table. The report is pure.

import type { FastifyInstance } from 'fastify';
import { objectAt } from '../../lib/json.ts';
import { textTable } from '../../lib/text-table.ts';
import { COVERAGE_REASONS, type CoverageReason, isGuarded, REASONS } from './coverage-reasons.ts';
import type { Counts, CoverageStore } from './coverage-store.ts';
import type { RefusedCreation } from './refused-creations.ts';

/** Names of pods in one answer; the rest are counted. */
const NAMED_PODS = 1000;
/** Owners in one answer whose pods could not be created. */
const NAMED_OWNERS = 100;

/** What a report is made of. */
export interface CoverageSource {
  store: CoverageStore;
  /** Whether the pods have been listed. */
  synced: boolean;
  refused: RefusedCreation[];
}

export interface CoverageReport {
  /** False until the pods have been listed: until then the numbers are incomplete. */
  synced: boolean;
  total: number;
  guarded: number;
  /** guarded / total; null where there are no pods. */
  share: number | null;
  reasons: Counts;
  namespaces: { namespace: string; total: number; guarded: number; reasons: Counts }[];
  notGuarded: { namespace: string; pod: string; reason: CoverageReason }[];
  /** Pods that are not guarded and did not fit into the list above. */
  notGuardedMore: number;
  /** Who could not create pods within the last hour or so, and why. */
  refused: RefusedCreation[];
  refusedMore: number;
}

/** @param only a namespace; '' for all */
export function coverageReport({ store, synced, refused }: CoverageSource, only = ''): CoverageReport {
  const namespaces = store
    .counts()
    .filter(({ namespace }) => only === '' || namespace === only)
    .map(({ namespace, counts }) => ({ namespace, ...totals(counts), reasons: inOrder(counts) }));
  const reasons: Counts = {};
  for (const one of namespaces) {
    for (const reason of REASONS) {
      const count = one.reasons[reason];
      if (count !== undefined) reasons[reason] = (reasons[reason] ?? 0) + count;
    }
  }
  const { total, guarded } = totals(reasons);
  const open = [...store.pods()].filter((pod) => !isGuarded(pod.reason) && (only === '' || pod.namespace === only));
  open.sort((a, b) => (`${a.namespace}/${a.pod}` < `${b.namespace}/${b.pod}` ? -1 : 1));
  const notGuarded = open.slice(0, NAMED_PODS);
  const refusedHere = refused.filter(({ namespace }) => only === '' || namespace === only);
  return {
    synced,
    total,
    guarded,
    share: total === 0 ? null : guarded / total,
    reasons: inOrder(reasons),
    namespaces,
    notGuarded,
    notGuardedMore: open.length - notGuarded.length,
    refused: refusedHere.slice(0, NAMED_OWNERS),
    refusedMore: Math.max(0, refusedHere.length - NAMED_OWNERS),
  };
}

function totals(counts: Counts): { total: number; guarded: number } {
  let [total, guarded] = [0, 0];
  for (const reason of REASONS) {
    const count = counts[reason] ?? 0;
    total += count;
    if (isGuarded(reason)) guarded += count;
  }
  return { total, guarded };
}

function inOrder(counts: Counts): Counts {
  return Object.fromEntries(REASONS.flatMap((reason) => (counts[reason] ? [[reason, counts[reason]]] : [])));
}

/** The report for a terminal: a line for each namespace, then what is not guarded. */
export function coverageTable(report: CoverageReport): string {
  const { synced, total, guarded, namespaces, notGuarded, notGuardedMore, refused, refusedMore } = report;
  const summary = `${guarded} of ${total} pods in ${namespaces.length} namespaces are guarded${synced ? '' : ' (not all have been listed yet)'}\n`;
  const byNamespace = namespaces.map((one) => [
    one.namespace,
    String(one.total),
    String(one.guarded),
    Object.entries(one.reasons)
      .filter(([reason]) => !isGuarded(reason as CoverageReason))
      .map(([reason, count]) => `${count} ${reason}`)
      .join(', '),
  ]);
  const byPod = notGuarded.map(({ namespace, pod, reason }) => [namespace, pod, reason, COVERAGE_REASONS[reason].text]);
  const parts = [summary];
  if (byNamespace.length > 0) parts.push(textTable([['NAMESPACE', 'PODS', 'GUARDED', 'NOT GUARDED'], ...byNamespace]));
  if (byPod.length > 0) parts.push(textTable([['NAMESPACE', 'POD', 'REASON', 'MEANING'], ...byPod]));
  if (notGuardedMore > 0) parts.push(`and ${notGuardedMore} more\n`);
  const byOwner = refused.map(({ namespace, owner, message }) => [namespace, owner, message]);
  if (byOwner.length > 0) parts.push(textTable([['NAMESPACE', 'CANNOT CREATE PODS', 'WHY'], ...byOwner]));
  if (refusedMore > 0) parts.push(`and ${refusedMore} more\n`);
  return parts.join('\n');
}

// GET /coverage on the plain port.

/** @param source undefined where coverage is off */
export function coverageRoute(source: () => CoverageSource | undefined) {
  return (server: FastifyInstance) => {
    server.get('/coverage', (request, reply) => {
      const coverage = source();
      if (coverage === undefined) {
        return reply
          .code(404)
          .send({ code: 'COVERAGE_OFF', message: 'coverage is off: it needs a cluster, and --coverage enabled' });
      }
      const only = objectAt(request.query)['namespace'];
      const report = coverageReport(coverage, typeof only === 'string' ? only : '');
      const plain = /text\/plain/.test(request.headers.accept ?? '');
      return plain ? reply.type('text/plain; charset=utf-8').send(coverageTable(report)) : reply.send(report);
    });
  };
}
