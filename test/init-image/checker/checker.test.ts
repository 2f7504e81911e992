import t from 'tap';
import { Checker, type CheckerSettings } from '../../../init-image/checker/checker.ts';
import { errors } from '../../../lib/errors.ts';
import { RULE } from '../../../lib/netfilter/drop-rule.ts';
import type { Installed } from '../../../lib/netfilter/installer.ts';
import { isGuarded, type Look } from '../../../lib/netfilter/ruleset-check.ts';
import { BARE, GUARDED, legacyReading, lookAt, mangle } from '../../lib/netfilter/made-checks.ts';

const guarded = lookAt(legacyReading(GUARDED));
const bare = lookAt(legacyReading(BARE, GUARDED));

function installed(look: Look): Installed {
  const ipv4 = isGuarded(look)
    ? ({ action: 'inserted', backend: 'legacy' } as const)
    : ({ action: 'failed', code: 'COMMAND_FAILED', message: 'no lock' } as const);
  return { guarded: isGuarded(look), families: { ipv4, ipv6: { action: 'left', owner: 'x' } }, look, warnings: [] };
}

/** A checker whose looks and repairs come from lists; a function in a list throws. */
function makeChecker(looks: (Look | Error)[], repairs: (Look | Error)[] = [], settings: Partial<CheckerSettings> = {}) {
  const lines: { event: string; [key: string]: unknown }[] = [];
  const clock = { now: 0 };
  const next = (list: (Look | Error)[]) => {
    const item = list.shift();
    if (!item || item instanceof Error) throw item ?? new Error('nothing left');
    return item;
  };
  const checker = new Checker(
    { mode: 'enforce', onDrift: 'repair', interval: 10_000, ...settings },
    {
      look: async () => next(looks),
      repair: async () => installed(next(repairs)),
      log: (level, event, details) => lines.push({ level, event, ...details }),
      now: () => clock.now,
    },
  );
  return { checker, lines, clock, events: () => lines.map(({ event }) => event) };
}

t.test('before the first look it is not ready', async (t) => {
  t.equal(makeChecker([]).checker.notReady(), 'no look has succeeded yet');
});

t.test('a guarded pod is ready for as long as the last look is recent', async (t) => {
  const { checker, clock } = makeChecker([guarded]);
  t.equal(await checker.look('start'), true);
  t.equal(checker.notReady(), undefined);
  clock.now = 35_000;
  t.equal(checker.notReady(), undefined);
  clock.now = 35_001;
  t.equal(checker.notReady(), 'the last look is 35 s old');
});

t.test('drift is counted, told with what was lost and by whom, and repaired', async (t) => {
  const { checker, lines, events } = makeChecker([guarded, bare], [guarded]);
  await checker.look('start');
  checker.noteChanges([{ process: 'iptables', pid: 7, lines: ['delete rule ip mangle PREROUTING handle 2'] }]);
  await checker.look('event');
  t.same(events(), ['ready', 'drift', 'not-ready', 'repaired', 'ready']);
  t.match(lines[1], {
    lost: [`ip mangle PREROUTING: -A PREROUTING ${RULE.tcp}`],
    reasons: [/^ipv4 on \w+: no rule drops/],
    by: [{ process: 'iptables', pid: 7, lines: ['delete rule ip mangle PREROUTING handle 2'] }],
  });
  t.match(checker, { drift: 1, repairs: 1, repairFailures: 0, readinessLost: 1, guarded: true });
  t.equal(checker.notReady(), undefined);
});

t.test('changes from before the last guarded look are not blamed', async (t) => {
  const { checker, lines } = makeChecker([guarded, guarded, bare], [guarded]);
  checker.noteChanges([{ process: 'innocent', pid: 1, lines: [] }]);
  for (const trigger of ['start', 'event', 'schedule'] as const) await checker.look(trigger);
  t.same(lines.find(({ event }) => event === 'drift')?.['by'], []);
});

t.test('of a storm of changes the last ten are named', async (t) => {
  const { checker, lines } = makeChecker([guarded, bare], [guarded]);
  await checker.look('start');
  for (let pid = 1; pid <= 15; pid++) checker.noteChanges([{ process: 'iptables', pid, lines: [] }]);
  await checker.look('event');
  const by = lines.find(({ event }) => event === 'drift')?.['by'] as { pid: number }[];
  t.same(
    by.map(({ pid }) => pid),
    [6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  );
});

t.test('report leaves the rule alone and the pod not ready until it is guarded again', async (t) => {
  const { checker, events } = makeChecker([guarded, bare, bare, guarded], [], { onDrift: 'report' });
  await checker.look('start');
  await checker.look('event');
  await checker.look('schedule');
  t.match(checker, { drift: 1, repairs: 0, guarded: false });
  t.match(checker.notReady(), /^ipv4 on \w+: no rule drops INVALID TCP packets$/);
  await checker.look('schedule');
  t.equal(checker.notReady(), undefined);
  t.same(events(), ['ready', 'drift', 'not-ready', 'ready']);
});

t.test('observe never holds the pod back, but still reports and repairs', async (t) => {
  const { checker, events } = makeChecker([guarded, bare], [bare], { mode: 'observe' });
  t.equal(checker.notReady(), undefined);
  await checker.look('start');
  await checker.look('event');
  t.equal(checker.notReady(), undefined);
  t.same(events(), ['ready', 'drift', 'repair-failed']);
});

t.test('a pod that was never guarded is no drift, and is repaired', async (t) => {
  const { checker, events } = makeChecker([bare], [guarded]);
  await checker.look('start');
  t.same(events(), ['not-guarded', 'repaired', 'ready']);
  t.match(checker, { drift: 0, repairs: 1, readinessLost: 0 });
});

t.test('a repair that does not help is counted, told once and tried at each look', async (t) => {
  const { checker, lines, events } = makeChecker([bare, bare, bare], [bare, bare, new Error('lost')]);
  for (const trigger of ['start', 'schedule', 'schedule'] as const) await checker.look(trigger);
  t.same(events(), ['not-guarded', 'repair-failed', 'repair-failed']);
  t.match(lines[1], { code: 'REPAIR_FAILED', message: /still not dropped: no lock; ipv4/ });
  t.match(lines[2], { message: 'lost' });
  t.match(checker, { repairFailures: 3, guarded: false });
});

t.test('a look that fails keeps the last verdict until that is old', async (t) => {
  const failure = errors.COMMAND_TIMEOUT('nft', 10_000);
  const { checker, clock, lines } = makeChecker([guarded, failure, failure]);
  await checker.look('start');
  t.equal(await checker.look('schedule'), false);
  t.equal(await checker.look('retry'), false);
  t.equal(checker.notReady(), undefined);
  t.equal(lines.filter(({ event }) => event === 'look-failed').length, 1, 'told once');
  clock.now = 60_000;
  t.match(checker.notReady(), /60 s old/);
  t.match(checker, { lookFailures: 2, looks: { start: 1, schedule: 1, retry: 1 } });
});

t.test('what rules dropped is counted across a repair', async (t) => {
  const dropped = lookAt(legacyReading(mangle(`[5:500] ${RULE.tcp}`), GUARDED));
  const again = lookAt(legacyReading(mangle(`[6:600] ${RULE.tcp}`), GUARDED));
  const { checker } = makeChecker([dropped, bare, again], [guarded]);
  for (const trigger of ['start', 'event', 'event'] as const) await checker.look(trigger);
  t.same(checker.tally.total.ipv4, { packets: 11, bytes: 1100 });
});
