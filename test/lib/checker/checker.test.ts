import t from 'tap';
import { Checker, type CheckerSettings } from '../../../lib/checker/checker.ts';
import { errors } from '../../../lib/errors.ts';
import { RULE } from '../../../lib/netfilter/drop-rule.ts';
import type { InstallResult } from '../../../lib/netfilter/installer.ts';
import { isGuarded, type RulesetCheck } from '../../../lib/netfilter/ruleset-check.ts';
import { BARE, checkOf, GUARDED, legacySnapshot, mangle } from '../netfilter/made-checks.ts';

const guarded = checkOf(legacySnapshot(GUARDED));
const bare = checkOf(legacySnapshot(BARE, GUARDED));

function installed(check: RulesetCheck): InstallResult {
  const ipv4 = isGuarded(check)
    ? ({ action: 'inserted', backend: 'legacy', form: 'rule' } as const)
    : ({ action: 'failed', code: 'COMMAND_FAILED', message: 'no lock' } as const);
  return {
    guarded: isGuarded(check),
    families: { ipv4, ipv6: { action: 'left', owner: 'x' } },
    exemption: { action: 'left' },
    check,
    warnings: [],
  };
}

/** A checker whose checks and repairs come from lists; a function in a list throws. */
function makeChecker(
  checks: (RulesetCheck | Error)[],
  repairs: (RulesetCheck | Error)[] = [],
  settings: Partial<CheckerSettings> = {},
) {
  const lines: { event: string; [key: string]: unknown }[] = [];
  const clock = { now: 0 };
  const reports = { changes: false };
  const next = (list: (RulesetCheck | Error)[]) => {
    const item = list.shift();
    if (!item || item instanceof Error) throw item ?? new Error('nothing left');
    return item;
  };
  const checker = new Checker(
    { mode: 'enforce', onDrift: 'repair', interval: 10_000, reportedInterval: 30_000, ...settings },
    {
      check: async () => next(checks),
      repair: async () => installed(next(repairs)),
      lacksExemption: () => false,
      reportsChanges: () => reports.changes,
      log: (level, event, details) => lines.push({ level, event, ...details }),
      now: () => clock.now,
    },
  );
  return { checker, lines, clock, reports, events: () => lines.map(({ event }) => event) };
}

t.test('before the first check it is not ready', async (t) => {
  t.equal(makeChecker([]).checker.notReady(), 'no check has succeeded yet');
});

t.test('a guarded pod is ready for as long as the last check is recent', async (t) => {
  const { checker, clock } = makeChecker([guarded]);
  t.equal(await checker.check('start'), true);
  t.equal(checker.notReady(), undefined);
  clock.now = 35_000;
  t.equal(checker.notReady(), undefined);
  clock.now = 35_001;
  t.equal(checker.notReady(), 'the last successful check is 35 s old');
});

t.test('who took the rule away is told, though the check came before the report of the kernel', async (t) => {
  const { checker, lines, reports } = makeChecker([guarded, bare], [guarded]);
  await checker.check('start');
  reports.changes = true;
  const done = checker.check('event');
  setImmediate(() => checker.noteChanges([{ process: 'nft', pid: 7, lines: ['delete table inet invalid-drop'] }]));
  await done;
  t.match(
    lines.find(({ event }) => event === 'drift'),
    { by: [{ process: 'nft', pid: 7 }] },
  );
});

t.test('a change that is reported during a check that does not see it yet is told by the next', async (t) => {
  const { checker, lines } = makeChecker([guarded, guarded, bare], [guarded]);
  await checker.check('start');
  const done = checker.check('event');
  checker.noteChanges([{ process: 'nft', pid: 7, lines: ['delete table inet invalid-drop'] }]);
  await done;
  await checker.check('event');
  t.match(
    lines.find(({ event }) => event === 'drift'),
    { by: [{ process: 'nft', pid: 7 }] },
  );
});

t.test('checks are rarer while the kernel reports every change of the ruleset', async (t) => {
  const nft = { ...guarded, snapshot: { ...guarded.snapshot, legacyTables: { ipv4: [], ipv6: [] } } };
  const { checker, clock, reports } = makeChecker([guarded, nft]);
  reports.changes = true;
  t.equal(checker.nextCheckIn(), 10_000, 'before the first check');
  await checker.check('start');
  t.equal(checker.nextCheckIn(), 10_000, 'iptables-legacy reports nothing');
  await checker.check('schedule');
  t.equal(checker.nextCheckIn(), 30_000);
  clock.now = 55_000;
  t.equal(checker.notReady(), undefined);
  clock.now = 55_001;
  t.equal(checker.notReady(), 'the last successful check is 55 s old');
  reports.changes = false;
  t.equal(checker.nextCheckIn(), 10_000, 'without nft monitor');
});

t.test('drift is counted, told with what was lost and by whom, and repaired', async (t) => {
  const { checker, lines, events } = makeChecker([guarded, bare], [guarded]);
  await checker.check('start');
  checker.noteChanges([{ process: 'iptables', pid: 7, lines: ['delete rule ip mangle PREROUTING handle 2'] }]);
  await checker.check('event');
  t.same(events(), ['ready', 'drift', 'not-ready', 'repaired', 'ready']);
  t.match(lines[1], {
    lost: [`ip mangle PREROUTING: -A PREROUTING ${RULE.tcp}`],
    reasons: [/^ipv4 on \w+, ipv4 on \w+: no rule drops/],
    by: [{ process: 'iptables', pid: 7, lines: ['delete rule ip mangle PREROUTING handle 2'] }],
  });
  t.match(checker, { drift: 1, repairs: 1, repairFailures: 0, readinessLost: 1, guarded: true });
  t.equal(checker.notReady(), undefined);
});

t.test('changes from before the last guarded check are not blamed', async (t) => {
  const { checker, lines } = makeChecker([guarded, guarded, bare], [guarded]);
  checker.noteChanges([{ process: 'innocent', pid: 1, lines: [] }]);
  for (const trigger of ['start', 'event', 'schedule'] as const) await checker.check(trigger);
  t.same(lines.find(({ event }) => event === 'drift')?.['by'], []);
});

t.test('of a storm of changes the last ten are named', async (t) => {
  const { checker, lines } = makeChecker([guarded, bare], [guarded]);
  await checker.check('start');
  for (let pid = 1; pid <= 15; pid++) checker.noteChanges([{ process: 'iptables', pid, lines: [] }]);
  await checker.check('event');
  const by = lines.find(({ event }) => event === 'drift')?.['by'] as { pid: number }[];
  t.same(
    by.map(({ pid }) => pid),
    [6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  );
});

t.test('report leaves the rule alone and the pod not ready until it is guarded again', async (t) => {
  const { checker, events } = makeChecker([guarded, bare, bare, guarded], [], { onDrift: 'report' });
  await checker.check('start');
  await checker.check('event');
  await checker.check('schedule');
  t.match(checker, { drift: 1, repairs: 0, guarded: false });
  t.match(checker.notReady(), /^ipv4 on \w+, ipv4 on \w+: no rule drops INVALID TCP packets$/);
  await checker.check('schedule');
  t.equal(checker.notReady(), undefined);
  t.same(events(), ['ready', 'drift', 'not-ready', 'ready']);
});

t.test('observe never holds the pod back, but still reports and repairs', async (t) => {
  const { checker, events } = makeChecker([guarded, bare], [bare], { mode: 'observe' });
  t.equal(checker.notReady(), undefined);
  await checker.check('start');
  await checker.check('event');
  t.equal(checker.notReady(), undefined);
  t.same(events(), ['ready', 'drift', 'repair-failed']);
});

t.test('a pod that was never guarded is no drift, and is repaired', async (t) => {
  const { checker, events } = makeChecker([bare], [guarded]);
  await checker.check('start');
  t.same(events(), ['not-guarded', 'repaired', 'ready']);
  t.match(checker, { drift: 0, repairs: 1, readinessLost: 0 });
});

t.test('a repair that does not help is counted, told once and tried at each check', async (t) => {
  const { checker, lines, events } = makeChecker([bare, bare, bare], [bare, bare, new Error('lost')]);
  for (const trigger of ['start', 'schedule', 'schedule'] as const) await checker.check(trigger);
  t.same(events(), ['not-guarded', 'repair-failed', 'repair-failed']);
  t.match(lines[1], { code: 'REPAIR_FAILED', message: /still not dropped: no lock; ipv4/ });
  t.match(lines[2], { message: 'lost' });
  t.match(checker, { repairFailures: 3, guarded: false });
});

t.test('a check that fails keeps the last verdict until that is old', async (t) => {
  const failure = errors.COMMAND_TIMEOUT('nft', 10_000);
  const { checker, clock, lines } = makeChecker([guarded, failure, failure]);
  await checker.check('start');
  t.equal(await checker.check('schedule'), false);
  t.equal(await checker.check('retry'), false);
  t.equal(checker.notReady(), undefined);
  t.equal(lines.filter(({ event }) => event === 'check-failed').length, 1, 'told once');
  clock.now = 60_000;
  t.match(checker.notReady(), /60 s old/);
  t.match(checker, { checkFailures: 2, checks: { start: 1, schedule: 1, retry: 1 } });
});

t.test('what rules dropped is counted across a repair', async (t) => {
  const dropped = checkOf(legacySnapshot(mangle(`[5:500] ${RULE.tcp}`), GUARDED));
  const again = checkOf(legacySnapshot(mangle(`[6:600] ${RULE.tcp}`), GUARDED));
  const { checker } = makeChecker([dropped, bare, again], [guarded]);
  for (const trigger of ['start', 'event', 'event'] as const) await checker.check(trigger);
  t.same(checker.dropCounters.total.ipv4, { packets: 11, bytes: 1100 });
});
