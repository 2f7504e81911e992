import { mock } from 'node:test';
import t from 'tap';
import { CheckSchedule, type ScheduleLimits } from '../../../lib/checker/check-schedule.ts';
import type { Trigger } from '../../../lib/checker/checker.ts';

/** Lets promises that are already settled run on. */
const settle = () => new Promise(setImmediate);

/** A schedule whose checks end when the test says so. */
function makeSchedule(interval = 10_000, limits?: ScheduleLimits) {
  const triggers: Trigger[] = [];
  let end: (done: boolean) => void = () => undefined;
  const schedule = new CheckSchedule(
    (trigger) => {
      triggers.push(trigger);
      return new Promise((resolve) => {
        end = resolve;
      });
    },
    () => interval,
    limits,
  );
  const endCheck = async (done = true) => {
    end(done);
    await settle();
  };
  const tick = async (milliseconds: number) => {
    mock.timers.tick(milliseconds);
    await settle();
  };
  return { schedule, triggers, endCheck, tick };
}

t.beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }));
t.afterEach(() => mock.timers.reset());

t.test('it checks at the start, then once an interval', async (t) => {
  const { schedule, triggers, endCheck, tick } = makeSchedule();
  void schedule.start();
  await endCheck();
  await tick(9_999);
  t.same(triggers, ['start']);
  await tick(1);
  await endCheck();
  await tick(10_000);
  t.same(triggers, ['start', 'schedule', 'schedule']);
});

t.test('it looks at once when told of a change', async (t) => {
  const { schedule, triggers, endCheck } = makeSchedule();
  void schedule.start();
  await endCheck();
  schedule.changed();
  t.same(triggers, ['start', 'event']);
});

t.test('changes during a check lead to one more check, for all of them', async (t) => {
  const { schedule, triggers, endCheck, tick } = makeSchedule();
  void schedule.start();
  for (let i = 0; i < 5; i++) schedule.changed();
  await endCheck();
  t.same(triggers, ['start']);
  await tick(20);
  t.same(triggers, ['start', 'event']);
});

t.test('a storm of changes costs a check a second at most, and calm brings back the first gap', async (t) => {
  const { schedule, triggers, endCheck, tick } = makeSchedule();
  void schedule.start();
  await endCheck();
  const count = () => triggers.filter((trigger) => trigger === 'event').length;
  for (let i = 0; i < 10; i++) {
    schedule.changed();
    await endCheck();
    schedule.changed();
    await tick(1000);
    await endCheck();
  }
  const before = count();
  for (let milliseconds = 0; milliseconds < 3000; milliseconds += 100) {
    schedule.changed();
    await endCheck();
    await tick(100);
  }
  t.ok(count() - before <= 4, `${count() - before} checks in three seconds`);
  await tick(1000);
  await endCheck();
  await tick(1000);
  const calm = count();
  schedule.changed();
  await endCheck();
  schedule.changed();
  await tick(20);
  t.equal(count(), calm + 2);
});

t.test('a check that could not read is tried again after a second', async (t) => {
  const { schedule, triggers, endCheck, tick } = makeSchedule();
  void schedule.start();
  await endCheck(false);
  await tick(1000);
  t.same(triggers, ['start', 'retry']);
});

t.test('after stop it never checks again', async (t) => {
  const { schedule, triggers, endCheck, tick } = makeSchedule();
  void schedule.start();
  schedule.stop();
  await endCheck();
  await tick(60_000);
  t.same(triggers, ['start']);
});

t.test('a check ahead of the schedule, unless one runs, and the next an interval later', async (t) => {
  const { schedule, triggers, endCheck, tick } = makeSchedule();
  void schedule.start();
  schedule.checkNow();
  t.same(triggers, ['start']);
  await endCheck();
  await tick(9_000);
  schedule.checkNow();
  t.same(triggers, ['start', 'schedule']);
  await endCheck();
  await tick(9_999);
  t.equal(triggers.length, 2);
  await tick(1);
  t.equal(triggers.length, 3);
});

t.test('stop waits for the check that runs, and none follows', async (t) => {
  const { schedule, triggers, endCheck, tick } = makeSchedule();
  void schedule.start();
  schedule.changed();
  let stopped = false;
  const stop = schedule.stop().then(() => {
    stopped = true;
  });
  await settle();
  t.equal(stopped, false);
  await endCheck();
  await stop;
  schedule.changed();
  schedule.checkNow();
  await tick(100_000);
  t.same(triggers, ['start']);
});

t.test('where changes keep coming, the gap grows to the limit that is given', async (t) => {
  const { schedule, triggers, endCheck, tick } = makeSchedule(1_000_000, { lastGap: 5000 });
  void schedule.start();
  await endCheck();
  schedule.changed();
  await endCheck();
  for (let passed = 0; passed < 60_000; passed += 10) {
    schedule.changed();
    await tick(10);
    await endCheck();
  }
  const before = triggers.length;
  for (let passed = 0; passed < 10_000; passed += 10) {
    schedule.changed();
    await tick(10);
    await endCheck();
  }
  t.equal(triggers.length - before, 2);
});

t.test('a check that fails again and again is tried ever more seldom', async (t) => {
  const { schedule, triggers, endCheck, tick } = makeSchedule(1_000_000);
  void schedule.start();
  await endCheck(false);
  for (const [at, wait] of [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000].entries()) {
    await tick(wait - 1);
    t.equal(triggers.length, at + 1);
    await tick(1);
    t.equal(triggers.length, at + 2);
    await endCheck(false);
  }
  await tick(30_000);
  await endCheck();
  schedule.changed();
  await endCheck(false);
  await tick(1000);
  t.equal(triggers.at(-1), 'retry', 'a success begins anew');
});

t.test('after an expensive check neither a change nor a failure leads to the next one at once', async (t) => {
  let pause = 20_000;
  const { schedule, triggers, endCheck, tick } = makeSchedule(1_000_000, { pause: () => pause });
  void schedule.start();
  await endCheck(false);
  schedule.changed();
  schedule.checkNow();
  await tick(19_999);
  t.same(triggers, ['start']);
  await tick(1);
  t.equal(triggers.length, 2);
  pause = 0;
  await endCheck();
  schedule.changed();
  await tick(100);
  t.equal(triggers.length, 3);
});
