// What the status page is made of: plain data. And what it says first. Pure.
import type { CertificateDescription } from '../certificates/read-certificates.ts';
import type { CollectionRound } from '../collection/collector.ts';
import type { PeerFigures, TrafficHistory } from '../collection/traffic-history.ts';
import { type CoverageReason, isGuarded, REASONS, remedyFor } from '../coverage/coverage-reasons.ts';
import type { CoverageReport } from '../coverage/coverage-report.ts';
import type { Counts } from '../coverage/coverage-store.ts';
import type { SelfcheckReport } from '../selfcheck/selfcheck-report.ts';

export interface StatusFacts {
  version: string;
  /** Milliseconds since 1970, as all times here. */
  now: number;
  /** When this process began. */
  started: number;
  /** undefined: none has ended yet. */
  selfcheck: SelfcheckReport | undefined;
  /** undefined: coverage is off. Names are in it only where they are for who asks. */
  coverage: CoverageReport | undefined;
  /** undefined: nothing is collected from checkers and agents. */
  traffic: TrafficFacts | undefined;
  certificates: CertificateFacts;
}

export interface CertificateFacts {
  /** Option `certificates`. */
  source: 'memory' | 'secret' | 'directory';
  serving: CertificateDescription | undefined;
  /** In the order in which API servers are told of them; two while the CA is replaced. */
  cas: CertificateDescription[];
  /** Whether API servers trust what this replica serves; undefined where there is no cluster. */
  trusted: boolean | undefined;
}

/** What this process has seen of the figures of checkers and node agents. */
export interface TrafficFacts {
  /** When this process began to ask. */
  began: number;
  checkers: RoundFacts;
  /** undefined: there are no node agents. */
  agents: RoundFacts | undefined;
  namespaces: ReturnType<TrafficHistory['namespaces']>;
  peers: PeerFigures[];
}

/** Who was asked: in the last round that has ended, and in the one under way. */
export interface RoundFacts {
  last: CollectionRound | undefined;
  current: CollectionRound | undefined;
}

/** ok: nothing is to be done. attention: some pods need it. failing: admissions do. unknown: that cannot be told yet. */
export type StatusLevel = 'ok' | 'attention' | 'failing' | 'unknown';

export interface StatusSummary {
  level: StatusLevel;
  headline: string;
  detail: string;
}

/** Pods by what is to be done about them. */
export interface PodTotals {
  total: number;
  guarded: number;
  /** Not guarded, and somebody has to do something. */
  open: number;
  /** Not guarded, and nothing has to be done: left alone, in mode observe, or starting. */
  aside: number;
}

export function podTotals(reasons: Counts): PodTotals {
  const totals = { total: 0, guarded: 0, open: 0, aside: 0 };
  for (const reason of REASONS) {
    const count = reasons[reason] ?? 0;
    totals.total += count;
    totals[kindOf(reason)] += count;
  }
  return totals;
}

export function kindOf(reason: CoverageReason): 'guarded' | 'open' | 'aside' {
  if (isGuarded(reason)) return 'guarded';
  return remedyFor(reason) === undefined ? 'aside' : 'open';
}

/** The first thing that the page says: the worst that is known. */
export function summaryOf({ selfcheck, coverage }: Pick<StatusFacts, 'selfcheck' | 'coverage'>): StatusSummary {
  const failed = selfcheck?.checks.filter(({ ok }) => !ok).map(({ name }) => name) ?? [];
  const pods = coverage && podTotals(coverage.reasons);
  const share = pods ? `${amount(pods.guarded)} of ${podCount(pods.total)} are guarded.` : 'Coverage is off.';
  if (failed.length > 0)
    return { level: 'failing', headline: `The self-check fails: ${failed.join(', ')}`, detail: share };
  if (pods && pods.open > 0) {
    const headline = `${podCount(pods.open)} ${pods.open === 1 ? 'is' : 'are'} not guarded and ${pods.open === 1 ? 'needs' : 'need'} attention`;
    return { level: 'attention', headline, detail: `${share}${selfcheck ? ' The self-check is fine.' : ''}` };
  }
  const refused = coverage ? coverage.refused.length + coverage.refusedMore : 0;
  if (refused > 0)
    return {
      level: 'attention',
      headline: `${refused} ${refused === 1 ? 'workload' : 'workloads'} cannot create pods`,
      detail: share,
    };
  if (selfcheck === undefined)
    return { level: 'unknown', headline: 'The self-check has not ended yet', detail: `${share} Load the page again.` };
  if (coverage?.synced === false)
    return { level: 'unknown', headline: 'The pods have not all been listed yet', detail: 'Load the page again.' };
  if (pods === undefined)
    return {
      level: 'ok',
      headline: 'Admissions work',
      detail: 'Coverage is off: nobody knows which pods are guarded.',
    };
  if (pods.total === 0)
    return { level: 'ok', headline: 'Admissions work', detail: 'There are no pods in opted-in namespaces.' };
  if (pods.aside === 0)
    return {
      level: 'ok',
      headline: `All is well: ${pods.total === 1 ? 'the pod is' : `all ${podCount(pods.total)} are`} guarded`,
      detail: 'The self-check is fine.',
    };
  return {
    level: 'ok',
    headline: `All is well: ${amount(pods.guarded)} of ${podCount(pods.total)} are guarded`,
    detail: `The self-check is fine. ${podCount(pods.aside)} ${pods.aside === 1 ? 'is' : 'are'} starting, observed or left alone on purpose.`,
  };
}

/** A number with commas between thousands. */
export function amount(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ',');
}

const podCount = (count: number) => `${amount(count)} ${count === 1 ? 'pod' : 'pods'}`;

/** Such as 2026-11-28 19:56:06 UTC. @param time milliseconds since 1970 */
export function timeText(time: number): string {
  const iso = isoTime(time);
  return iso === '' ? 'unknown' : `${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC`;
}

/** For the attribute datetime; '' where it is no time. */
export function isoTime(time: number): string {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? '' : date.toISOString();
}

const UNITS: [number, string][] = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
];

/** A length of time in its largest whole unit, such as 12 s, 5 min or 80 d. @param milliseconds may be negative */
export function spanText(milliseconds: number): string {
  const size = Math.abs(milliseconds);
  const [unit, name] = UNITS.find(([each]) => size >= 2 * each) ?? [1000, 's'];
  return `${Math.round(size / unit)} ${name}`;
}
