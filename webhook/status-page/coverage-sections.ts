// What the status page says of pods: by reason, by namespace, and pod by pod. Pure.
import { COVERAGE_REASONS, type CoverageReason, REASONS, remedyFor } from '../coverage/coverage-reasons.ts';
import type { CoverageReport } from '../coverage/coverage-report.ts';
import type { Counts } from '../coverage/coverage-store.ts';
import type { RefusedCreation } from '../coverage/refused-creations.ts';
import { type Content, type Html, html } from './html.ts';
import { addressOf, moment, type Paged, pageOf, pager, section, state, table } from './page-parts.ts';
import { amount, kindOf, podTotals, type StatusLevel } from './status-facts.ts';

/** A pod as the page lists it. */
export interface ListedPod {
  namespace: string;
  pod: string;
  reason: CoverageReason;
}

/** Rows on one page: with the longest names that Kubernetes has, it is less than 300 KB. */
const NAMESPACES_A_PAGE = 100;
const PODS_A_PAGE = 200;

const LEVELS: Record<ReturnType<typeof kindOf>, StatusLevel> = { guarded: 'ok', open: 'attention', aside: 'unknown' };
const KIND_ORDER: ReturnType<typeof kindOf>[] = ['open', 'aside', 'guarded'];
const KIND_WORDS = { guarded: 'guarded', open: 'needs attention', aside: 'nothing to do' } as const;

/** @param named whether who asks may see names of pods */
export function reasonsSection(reasons: Counts, named: boolean, namespace = ''): Html {
  const there = inKindOrder(reasons);
  if (there.length === 0)
    return section('reasons', 'Pods by reason', html`<p>There are no pods in opted-in namespaces.</p>`);
  const rows = there.map((reason) => [
    named ? html`<a href="${addressOf({ namespace, reason })}">${reason}</a>` : reason,
    state(LEVELS[kindOf(reason)], KIND_WORDS[kindOf(reason)]),
    amount(reasons[reason] ?? 0),
    COVERAGE_REASONS[reason].text,
    remedyFor(reason) ?? '–',
  ]);
  const columns = [
    { title: 'Reason' },
    { title: 'State' },
    { title: 'Pods', kind: 'number' as const },
    { title: 'What it means', kind: 'text' as const },
    { title: 'What to do', kind: 'text' as const },
  ];
  return section(
    'reasons',
    'Pods by reason',
    table('Pods of opted-in namespaces by the reason that coverage gives', columns, rows),
  );
}

function inKindOrder(reasons: Counts): CoverageReason[] {
  return KIND_ORDER.flatMap((kind) => REASONS.filter((reason) => reasons[reason] && kindOf(reason) === kind));
}

/** Those with the most pods that need attention first. */
export function namespacesSection({ namespaces }: CoverageReport, page: number): Html {
  const open = new Map(namespaces.map(({ namespace, reasons }) => [namespace, podTotals(reasons).open]));
  const sorted = namespaces.toSorted((a, b) => (open.get(b.namespace) ?? 0) - (open.get(a.namespace) ?? 0));
  const shown = pageOf(sorted, page, NAMESPACES_A_PAGE);
  const rows = shown.items.map(({ namespace, placement, total, guarded, reasons }) => [
    html`<a href="${addressOf({ namespace })}">${namespace}</a>`,
    placement,
    amount(total),
    amount(guarded),
    shareBar(guarded, total),
    attention(open.get(namespace) ?? 0),
    inKindOrder(reasons)
      .filter((reason) => kindOf(reason) !== 'guarded')
      .map((reason) => `${amount(reasons[reason] ?? 0)} ${reason}`)
      .join(', '),
  ]);
  if (rows.length === 0)
    return section(
      'namespaces',
      'Namespaces',
      html`<p>No namespace is opted in: <code>kubectl label namespace NAME invalid-drop.io/inject=enabled</code></p>`,
    );
  const columns = [
    { title: 'Namespace' },
    { title: 'Placement' },
    { title: 'Pods', kind: 'number' as const },
    { title: 'Guarded', kind: 'number' as const },
    { title: 'Share' },
    { title: 'Need attention', kind: 'number' as const },
    { title: 'Not guarded', kind: 'text' as const },
  ];
  const caption = 'Opted-in namespaces, those with the most pods that need attention first';
  return section('namespaces', 'Namespaces', [table(caption, columns, rows), pager(shown, 'namespaces', {})]);
}

const attention = (count: number) => (count === 0 ? '0' : state('attention', amount(count)));

/** The numbers stand beside it, so it says nothing to a screen reader. */
function shareBar(part: number, all: number): Content {
  if (all === 0) return undefined;
  const width = (100 * part) / all;
  return html`<svg class="share" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect width="100" height="8"/><rect class="done" width="${width.toFixed(1)}" height="8"/></svg>`;
}

/** Pods one by one. @param pods in the order in which they are shown */
export function podsSection(pods: ListedPod[], place: { namespace: string; reason: string; page: number }): Html {
  const shown: Paged<ListedPod> = pageOf(pods, place.page, PODS_A_PAGE);
  const everywhere = place.namespace === '';
  const rows = shown.items.map(({ namespace, pod, reason }) => [
    pod,
    ...(everywhere ? [html`<a href="${addressOf({ namespace })}">${namespace}</a>`] : []),
    state(LEVELS[kindOf(reason)], KIND_WORDS[kindOf(reason)]),
    reason,
  ]);
  const columns = [
    { title: 'Pod' },
    ...(everywhere ? [{ title: 'Namespace' }] : []),
    { title: 'State' },
    { title: 'Reason' },
  ];
  if (rows.length === 0) return section('pods', 'Pods', html`<p>There are none.</p>`);
  const caption = `${amount(pods.length)} ${pods.length === 1 ? 'pod' : 'pods'}, those that need attention first`;
  const { namespace, reason } = place;
  return section('pods', 'Pods', [table(caption, columns, rows), pager(shown, 'pods', { namespace, reason })]);
}

/** Pods that need attention first, then by name. @param pods are not changed */
export function inListOrder(pods: Iterable<ListedPod>): ListedPod[] {
  const rank = (one: ListedPod) => KIND_ORDER.indexOf(kindOf(one.reason));
  const keyed = [...pods].map((pod) => ({ pod, rank: rank(pod), name: `${pod.namespace}/${pod.pod}` }));
  return keyed.sort((a, b) => a.rank - b.rank || (a.name < b.name ? -1 : 1)).map(({ pod }) => pod);
}

/** Who cannot create pods; nothing where everybody can. */
export function refusedSection(refused: RefusedCreation[], more: number): Html | undefined {
  if (refused.length + more === 0) return undefined;
  const rows = refused.map(({ namespace, owner, message, lastSeen }) => [
    owner,
    namespace,
    moment(Date.parse(lastSeen)),
    html`<bdi>${message}</bdi>`,
  ]);
  const columns = [
    { title: 'Workload' },
    { title: 'Namespace' },
    { title: 'Last seen', kind: 'time' as const },
    { title: 'Why', kind: 'text' as const },
  ];
  const list = rows.length > 0 ? table('Workloads whose pods the API server refused', columns, rows) : undefined;
  const rest =
    more > 0
      ? html`<p class="note">${amount(more)} ${rows.length > 0 ? 'more' : 'workloads cannot create pods; their names are only for who asks from the pod itself'}.</p>`
      : undefined;
  return section('refused', 'Pods that were never created', [list, rest]);
}
