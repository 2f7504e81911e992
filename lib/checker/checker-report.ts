// The whole report, for /selfcheck and --once.

import { VERSION } from '../contract.ts';
import type { Evidence } from '../netfilter/proc.ts';
import { describeFamilies, type RulesetCheck, summarize } from '../netfilter/ruleset-check.ts';
import type { Checker } from './checker.ts';
import type { Rescuer } from './rescuer.ts';

/** What one check says: the part of the report that needs no running checker. */
export function describeCheck(check: RulesetCheck, evidence: Evidence) {
  return {
    version: VERSION,
    result: summarize(check),
    lastCheck: new Date(check.at).toISOString(),
    families: describeFamilies(check),
    evidence,
  };
}

/**
 * @param rescuer undefined where rescue is disabled
 * @param monitor whether nft monitor runs, and how often it was started again
 * @returns the report as plain data; `result` is null before the first check
 */
export function describeChecker(
  checker: Checker,
  evidence: Evidence,
  monitor: { running: boolean; restarts: number },
  rescuer?: Pick<Rescuer, 'segments' | 'rescued' | 'failed' | 'persistent' | 'lastPeers'>,
) {
  const { last, settings, dropCounters } = checker;
  const notReady = checker.notReady();
  const checked = last
    ? describeCheck(last, evidence)
    : { version: VERSION, result: null, lastCheck: null, families: null, evidence };
  return {
    ...checked,
    guarded: checker.guarded,
    exempt: checker.exempt,
    ready: notReady === undefined,
    ...(notReady === undefined ? {} : { notReady }),
    mode: settings.mode,
    onDrift: settings.onDrift,
    intervalSeconds: settings.interval / 1000,
    nextCheckInSeconds: checker.nextCheckIn() / 1000,
    prevented: dropCounters.total,
    strays: {
      rescue: rescuer ? 'enabled' : 'disabled',
      segments: rescuer?.segments ?? null,
      rescued: rescuer?.rescued ?? 0,
      failed: rescuer?.failed ?? 0,
      persistent: rescuer?.persistent ?? 0,
      peers: rescuer?.lastPeers() ?? [],
    },
    drift: checker.drift,
    exemptionDrift: checker.exemptionDrift,
    exemptionFailures: checker.exemptionFailures,
    repairs: checker.repairs,
    repairFailures: checker.repairFailures,
    readiness: { lost: checker.readinessLost },
    checks: checker.checks,
    checkFailures: checker.checkFailures,
    monitor: { running: monitor.running, restarts: monitor.restarts },
  };
}

export type CheckerReport = ReturnType<typeof describeChecker>;
