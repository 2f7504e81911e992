import t from 'tap';
import { limitLog } from '../../../node-agent/guard/limited-log.ts';

t.test('sixty lines a minute, and how many were left out', async (t) => {
  const lines: Record<string, unknown>[] = [];
  let now = 0;
  const log = limitLog(
    (_level, event, details) => lines.push({ ...details, event }),
    () => now,
  );
  for (let i = 0; i < 70; i++) log('warn', 'drift', { i });
  t.equal(lines.length, 60);
  now = 60_000;
  log('info', 'ready');
  log('info', 'repaired');
  t.same(lines.slice(60), [{ event: 'ready', notLogged: 10 }, { event: 'repaired' }]);
});
