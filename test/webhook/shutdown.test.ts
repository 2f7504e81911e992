import t from 'tap';
import { createShutdown } from '../../webhook/shutdown.ts';

/** A shutdown whose waits end when the test says so, and the order of what happened. */
function shutdownUnderTest() {
  const events: string[] = [];
  const waits = new Map<number, () => void>();
  const closing = Promise.withResolvers<void>();
  const shutdown = createShutdown({
    drainMs: 5000,
    closeMs: 9000,
    close: () => {
      events.push('close');
      return closing.promise;
    },
    exit: (code) => void events.push(`exit ${code}`),
    wait: (ms) => {
      events.push(`wait ${ms}`);
      return new Promise((resolve) => waits.set(ms, resolve));
    },
    log: { info: () => {} },
  });
  return { shutdown, events, closed: closing.resolve, passed: (ms: number) => waits.get(ms)?.() };
}

t.test('SIGTERM: draining at once, close after the delay, exit 0 when closed', async (t) => {
  const { shutdown, events, closed, passed } = shutdownUnderTest();
  t.equal(shutdown.draining(), false);
  const done = shutdown.signal('SIGTERM');
  t.equal(shutdown.draining(), true);
  t.strictSame(events, ['wait 5000']);
  passed(5000);
  await new Promise(setImmediate);
  t.strictSame(events, ['wait 5000', 'close', 'wait 9000']);
  closed();
  await done;
  t.strictSame(events.at(-1), 'exit 0');
});

t.test('connections that do not end hold the process only so long', async (t) => {
  const { shutdown, events, passed } = shutdownUnderTest();
  const done = shutdown.signal('SIGTERM');
  passed(5000);
  await new Promise(setImmediate);
  passed(9000);
  await done;
  t.strictSame(events.at(-1), 'exit 0');
});

t.test('SIGINT closes without a delay', async (t) => {
  const { shutdown, events, closed } = shutdownUnderTest();
  const done = shutdown.signal('SIGINT');
  t.strictSame(events, ['close', 'wait 9000']);
  closed();
  await done;
  t.strictSame(events.at(-1), 'exit 0');
});

t.test('a second signal ends at once', async (t) => {
  const { shutdown, events } = shutdownUnderTest();
  void shutdown.signal('SIGTERM');
  await shutdown.signal('SIGTERM');
  t.strictSame(events, ['wait 5000', 'exit 1']);
});
