import { mock } from 'node:test';
import t from 'tap';
import { Schedule, type Trigger } from '../../../init-image/checker/check-schedule.ts';

/** Lets promises that are already settled run on. */
const settle = () => new Promise(setImmediate);

/** A schedule whose looks end when the test says so. */
function makeSchedule(interval = 10_000) {
  const triggers: Trigger[] = [];
  let end: (saw: boolean) => void = () => undefined;
  const schedule = new Schedule((trigger) => {
    triggers.push(trigger);
    return new Promise((resolve) => {
      end = resolve;
    });
  }, interval);
  const endLook = async (saw = true) => {
    end(saw);
    await settle();
  };
  const tick = async (milliseconds: number) => {
    mock.timers.tick(milliseconds);
    await settle();
  };
  return { schedule, triggers, endLook, tick };
}

t.beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }));
t.afterEach(() => mock.timers.reset());

t.test('it looks at the start, then once an interval', async (t) => {
  const { schedule, triggers, endLook, tick } = makeSchedule();
  void schedule.start();
  await endLook();
  await tick(9_999);
  t.same(triggers, ['start']);
  await tick(1);
  await endLook();
  await tick(10_000);
  t.same(triggers, ['start', 'schedule', 'schedule']);
});

t.test('it looks at once when told of a change', async (t) => {
  const { schedule, triggers, endLook } = makeSchedule();
  void schedule.start();
  await endLook();
  schedule.changed();
  t.same(triggers, ['start', 'event']);
});

t.test('changes during a look are looked at once more, together', async (t) => {
  const { schedule, triggers, endLook, tick } = makeSchedule();
  void schedule.start();
  for (let i = 0; i < 5; i++) schedule.changed();
  await endLook();
  t.same(triggers, ['start']);
  await tick(20);
  t.same(triggers, ['start', 'event']);
});

t.test('a storm of changes costs a look a second at most, and calm brings back the first gap', async (t) => {
  const { schedule, triggers, endLook, tick } = makeSchedule();
  void schedule.start();
  await endLook();
  const count = () => triggers.filter((trigger) => trigger === 'event').length;
  for (let i = 0; i < 10; i++) {
    schedule.changed();
    await endLook();
    schedule.changed();
    await tick(1000);
    await endLook();
  }
  const before = count();
  for (let milliseconds = 0; milliseconds < 3000; milliseconds += 100) {
    schedule.changed();
    await endLook();
    await tick(100);
  }
  t.ok(count() - before <= 4, `${count() - before} looks in three seconds`);
  await tick(1000);
  await endLook();
  await tick(1000);
  const calm = count();
  schedule.changed();
  await endLook();
  schedule.changed();
  await tick(20);
  t.equal(count(), calm + 2);
});

t.test('a look that could not see is tried again after a second', async (t) => {
  const { schedule, triggers, endLook, tick } = makeSchedule();
  void schedule.start();
  await endLook(false);
  await tick(1000);
  t.same(triggers, ['start', 'retry']);
});

t.test('after stop it never looks again', async (t) => {
  const { schedule, triggers, endLook, tick } = makeSchedule();
  void schedule.start();
  schedule.stop();
  await endLook();
  await tick(60_000);
  t.same(triggers, ['start']);
});
