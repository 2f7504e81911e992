// GET /coverage: the report as JSON and as a table. The report is pure.

import { jsonPage, madeAtMostEvery, type Page, type PageRequest } from '../../lib/page-server.ts';
import { textTable } from '../../lib/text-table.ts';
import { COVERAGE_REASONS, type CoverageReason, isGuarded, REASONS, remedyFor } from './coverage-reasons.ts';
import type { Counts, CoverageStore } from './coverage-store.ts';
import type { CoveredNamespace } from './pod-reason.ts';
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
  /** Who could not create pods. */
  refused(): RefusedCreation[];
}

export interface CoverageReport {
  /** False until the pods have been listed: until then the numbers are incomplete. */
  synced: boolean;
  total: number;
  guarded: number;
  /** guarded / total; null where there are no pods. */
  share: number | null;
  reasons: Counts;
  namespaces: NamespaceCoverage[];
  notGuarded: OpenPod[];
  /** Pods that are not guarded and are not in the list above: it is full, or it is not for who asks. */
  notGuardedMore: number;
  /** Who could not create pods within the last hour or so, and why. Empty where names are not for who asks. */
  refused: RefusedCreation[];
  /** Those who are not in the list above. */
  refusedMore: number;
  /** Where the names are to be had, for who does not get them. */
  names?: string;
}

interface NamespaceCoverage {
  namespace: string;
  /** What guards its new pods. missing: its label asks for node agents, and there are none. */
  placement: CoveredNamespace['placement'];
  total: number;
  guarded: number;
  reasons: Counts;
}

/** A pod that is not guarded. */
interface OpenPod {
  namespace: string;
  pod: string;
  reason: CoverageReason;
}

const NAMES =
  'only from the pod itself: kubectl exec -n invalid-drop-system deploy/invalid-drop-webhook -- node /opt/invalid-drop/webhook.js coverage';

/** Every pod that is not guarded, in order of name. */
function openPods(store: CoverageStore | undefined): OpenPod[] {
  const open = [...(store?.pods() ?? [])].filter(({ reason }) => !isGuarded(reason));
  return open
    .map((pod) => ({ pod, key: `${pod.namespace}/${pod.pod}` }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .map(({ pod }) => pod);
}

/**
 * @param only a namespace; '' for all
 * @param open every pod that is not guarded, in order of name; 'withheld' where who asks gets no names
 */
export function coverageReport(
  { store, synced, refused }: CoverageSource,
  only = '',
  open: OpenPod[] | 'withheld' = openPods(store),
): CoverageReport {
  const namespaces = store
    .counts(only)
    .map(({ counts, ...namespace }) => ({ ...namespace, ...totals(counts), reasons: inOrder(counts) }));
  const reasons: Counts = {};
  for (const one of namespaces) {
    for (const reason of REASONS) {
      const count = one.reasons[reason];
      if (count !== undefined) reasons[reason] = (reasons[reason] ?? 0) + count;
    }
  }
  const { total, guarded } = totals(reasons);
  const named = open === 'withheld' ? [] : open.filter(({ namespace }) => only === '' || namespace === only);
  const notGuarded = named.slice(0, NAMED_PODS);
  const refusedHere = refused().filter(({ namespace }) => only === '' || namespace === only);
  const told = open === 'withheld' ? [] : refusedHere.slice(0, NAMED_OWNERS);
  return {
    synced,
    total,
    guarded,
    share: total === 0 ? null : guarded / total,
    reasons: inOrder(reasons),
    namespaces,
    notGuarded,
    notGuardedMore: total - guarded - notGuarded.length,
    refused: told,
    refusedMore: refusedHere.length - told.length,
    ...(open === 'withheld' && { names: NAMES }),
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

/** Of a pod with one of our reasons; an older or newer webhook may have others. */
const meaningOf = (reason: CoverageReason) =>
  Object.hasOwn(COVERAGE_REASONS, reason) ? COVERAGE_REASONS[reason].text : '';
const counts = (reason: string) => Object.hasOwn(COVERAGE_REASONS, reason) && isGuarded(reason as CoverageReason);

/**
 * The report for a terminal: a line for each namespace, then what is not guarded.
 * @param wide with what to do about each pod
 */
export function coverageTable(report: CoverageReport, wide = false): string {
  const { synced, total, guarded, namespaces, notGuarded, notGuardedMore, refused, refusedMore, names } = report;
  const summary = `${guarded} of ${total} pods in ${namespaces.length} namespaces are guarded${synced ? '' : ' (not all have been listed yet)'}\n`;
  const byNamespace = namespaces.map((one) => [
    one.namespace,
    one.placement,
    String(one.total),
    String(one.guarded),
    Object.entries(one.reasons)
      .filter(([reason]) => !counts(reason))
      .map(([reason, count]) => `${count} ${reason}`)
      .join(', '),
  ]);
  const byPod = notGuarded.map(({ namespace, pod, reason }) => [
    ...[namespace, pod, reason, meaningOf(reason)],
    ...(wide ? [(Object.hasOwn(COVERAGE_REASONS, reason) && remedyFor(reason)) || ''] : []),
  ]);
  const parts = [summary];
  if (byNamespace.length > 0)
    parts.push(textTable([['NAMESPACE', 'PLACEMENT', 'PODS', 'GUARDED', 'NOT GUARDED'], ...byNamespace]));
  if (byPod.length > 0)
    parts.push(textTable([['NAMESPACE', 'POD', 'REASON', 'MEANING', ...(wide ? ['WHAT TO DO'] : [])], ...byPod]));
  if (names !== undefined)
    parts.push(`The names of ${notGuardedMore} pods that are not guarded are to be had ${names}\n`);
  else if (notGuardedMore > 0) parts.push(`and ${notGuardedMore} more\n`);
  const byOwner = refused.map(({ namespace, owner, message }) => [namespace, owner, message]);
  if (byOwner.length > 0) parts.push(textTable([['NAMESPACE', 'CANNOT CREATE PODS', 'WHY'], ...byOwner]));
  if (refusedMore > 0)
    parts.push(
      `${byOwner.length > 0 ? 'and ' : ''}${refusedMore} ${byOwner.length > 0 ? 'more' : 'workloads cannot create pods'}\n`,
    );
  return parts.join('\n');
}

// GET /coverage on the plain port.

/** Milliseconds for which a report stays as it is: with 10,000 pods it is the work of many admissions. */
const REPORT_FOR = 2000;

/**
 * Who asks from the pod itself gets names, everybody else numbers.
 * @param source undefined where coverage is off
 * @param now milliseconds of a clock that never goes back
 */
export function coveragePage(
  source: () => CoverageSource | undefined,
  now?: () => number,
): (request: PageRequest) => Page {
  const open = madeAtMostEvery(REPORT_FOR, () => openPods(source()?.store), now);
  const refused = madeAtMostEvery(REPORT_FOR, () => source()?.refused() ?? [], now);
  const render = (only: string, local: boolean, plain: boolean): Page => {
    const coverage = source();
    if (coverage === undefined) return OFF;
    const report = coverageReport({ ...coverage, refused }, only, local ? open() : 'withheld');
    return plain ? { status: 200, body: coverageTable(report) } : jsonPage(200, report);
  };
  const pages = new Map<string, () => Page>();
  const renderAll = (local: boolean, plain: boolean): Page => {
    const key = `${local} ${plain}`;
    const page = pages.get(key) ?? madeAtMostEvery(REPORT_FOR, () => render('', local, plain), now);
    pages.set(key, page);
    return page();
  };
  return ({ query, accept, local }) => {
    const only = query.get('namespace') ?? '';
    const plain = /text\/plain/.test(accept);
    return only === '' && source() !== undefined ? renderAll(local, plain) : render(only, local, plain);
  };
}

const OFF = jsonPage(404, {
  code: 'COVERAGE_OFF',
  message: 'coverage is off: it needs a cluster, and --coverage enabled',
});
