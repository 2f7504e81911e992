// The whole report, for /selfcheck and --once.

import { VERSION } from '../../lib/contract.ts';
import { describeFamilies } from '../../lib/netfilter/check-report.ts';
import type { Evidence } from '../../lib/netfilter/proc.ts';
import { type Look, summarize } from '../../lib/netfilter/ruleset-check.ts';
import type { Checker } from './checker.ts';

/** What one look says: the part of the report that needs no running checker. */
export function describeLook(look: Look, evidence: Evidence) {
  return {
    version: VERSION,
    result: summarize(look),
    lastLook: new Date(look.at).toISOString(),
    families: describeFamilies(look),
    evidence,
  };
}

/**
 * @param monitor whether nft monitor runs, and how often it was started again
 * @returns the report as plain data; `result` is null before the first look
 */
export function describeChecker(checker: Checker, evidence: Evidence, monitor: { running: boolean; restarts: number }) {
  const { last, settings, tally } = checker;
  const notReady = checker.notReady();
  const seen = last
    ? describeLook(last, evidence)
    : { version: VERSION, result: null, lastLook: null, families: null, evidence };
  return {
    ...seen,
    guarded: checker.guarded,
    ready: notReady === undefined,
    ...(notReady === undefined ? {} : { notReady }),
    mode: settings.mode,
    onDrift: settings.onDrift,
    intervalSeconds: settings.interval / 1000,
    prevented: tally.total,
    drift: checker.drift,
    repairs: checker.repairs,
    repairFailures: checker.repairFailures,
    readiness: { lost: checker.readinessLost },
    looks: checker.looks,
    lookFailures: checker.lookFailures,
    monitor: { running: monitor.running, restarts: monitor.restarts },
  };
}

export type CheckerReport = ReturnType<typeof describeChecker>;
