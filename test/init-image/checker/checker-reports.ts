// Reports of a checker that has checked once, for tests of the pages that show them.

import { Checker } from '../../../lib/checker/checker.ts';
import { type CheckerReport, describeChecker } from '../../../lib/checker/checker-report.ts';
import { checkOf, exemptSnapshot } from '../../lib/netfilter/made-checks.ts';

/** Evidence with a label that must be escaped and a number that is not known. */
const EVIDENCE = { kernelRelease: '6.1.0 "x"\\', tcpBeLiberal: 0, conntrackInvalid: 12, tcpResetsSent: null };

const RESCUER = {
  segments: 71,
  rescued: 14,
  failed: 2,
  persistent: 0,
  lastPeers: () => [{ peer: '10.1.4.7', port: 9000, segments: 71, rescued: 14, lastSeen: new Date(0).toISOString() }],
};

/** The report of a checker whose only check found these rules in both families. */
export async function reportOf(rules: string): Promise<CheckerReport> {
  const check = checkOf(exemptSnapshot(rules));
  const checker = new Checker(
    { mode: 'enforce', onDrift: 'report', interval: 10_000, reportedInterval: 30_000 },
    {
      check: async () => check,
      repair: () => Promise.reject(new Error('not asked for')),
      lacksExemption: () => false,
      reportsChanges: () => true,
      log: () => undefined,
      now: () => 0,
    },
  );
  await checker.check('start');
  return describeChecker(checker, EVIDENCE, { running: true, restarts: 2 }, RESCUER);
}
