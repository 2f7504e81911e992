import { mock } from 'node:test';
import t from 'tap';
import { NftMonitor } from '../../../lib/checker/nft-monitor.ts';
import { startCommand } from '../../../lib/command.ts';

/** A monitor on a real program; `ended` resolves each time that its end has been seen. */
function makeMonitor(program: string, maxMemory?: number) {
  const changes: number[] = [];
  const alarms: number[] = [];
  const waiting: (() => void)[] = [];
  const delays: unknown[] = [];
  const monitor = new NftMonitor(
    (onText, onEnd) => startCommand(process.execPath, ['-e', program], onText, onEnd),
    (list) => {
      changes.push(list.length);
      waiting.shift()?.();
    },
    () => {
      alarms.push(changes.length);
      waiting.shift()?.();
    },
    (_level, _event, details) => {
      delays.push(details?.['retryInSeconds']);
      waiting.shift()?.();
    },
    maxMemory,
  );
  const next = () => new Promise<void>((resolve) => waiting.push(resolve));
  return { monitor, changes, alarms, delays, next };
}

t.beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }));
t.afterEach(() => mock.timers.reset());

t.test('a change that the program prints is passed on', async (t) => {
  const line = '# new generation 3 by process 7 (nft)';
  const { monitor, changes, next } = makeMonitor(`console.log(${JSON.stringify(line)}); setInterval(() => {}, 1000)`);
  const seen = next();
  monitor.start();
  await seen;
  t.same(changes, [1]);
  t.equal(monitor.running, true);
  monitor.stop();
  t.equal(monitor.running, false);
});

t.test('an alarm that the program prints is passed on, and is no change', async (t) => {
  const line = 'add quota ip invalid-drop alarm { over 1 bytes used 52 bytes } ';
  const { monitor, changes, alarms, next } = makeMonitor(
    `console.log(${JSON.stringify(line)}); setInterval(() => {}, 1000)`,
  );
  const seen = next();
  monitor.start();
  await seen;
  t.same([changes, alarms], [[], [0]]);
  monitor.stop();
});

t.test(
  'a program that ends is started again, ever later, and at each end and start the ruleset is checked',
  async (t) => {
    const { monitor, changes, delays, next } = makeMonitor('process.exit(1)');
    let ended = next();
    monitor.start();
    await ended;
    t.equal(monitor.running, false);
    for (const delay of [1000, 2000, 4000]) {
      mock.timers.tick(delay - 1);
      t.equal(monitor.running, false);
      const looked = next();
      ended = next();
      mock.timers.tick(1);
      await looked;
      await ended;
    }
    t.same(delays, [1, 2, 4, 8]);
    t.same(changes, Array(7).fill(0), 'at each of four ends, and three starts');
    t.equal(monitor.restarts, 3);
    monitor.stop();
  },
);

t.test('a program that takes too much memory is ended, and started again after ten minutes', async (t) => {
  const { monitor, delays, next } = makeMonitor('setInterval(() => {}, 1000)', 2 ** 20);
  const ended = next();
  monitor.start();
  await ended;
  t.same(delays, [600]);
  t.equal(monitor.running, false);
  monitor.stop();
});

t.test('a program that is not there is an end like any other', async (t) => {
  const how = await new Promise((resolve) => {
    const monitor = new NftMonitor(
      (onText, onEnd) => startCommand('/no/such/program', [], onText, onEnd),
      () => undefined,
      () => undefined,
      (_level, _event, details) => resolve(details?.['message']),
    );
    t.teardown(() => monitor.stop());
    monitor.start();
  });
  t.match(how, /ENOENT/);
});
