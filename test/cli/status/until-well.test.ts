import t from 'tap';
import { untilWell } from '../../../cli/status/status-command.ts';
import { type PartState, statusReport } from '../../../cli/status/status-report.ts';

const report = (state: PartState) => statusReport('1', [{ part: 'webhook', state, detail: '1 of 2 Ready' }]);

/** Asks with these answers, the last one again and again, by a clock that only waiting moves. */
async function wait(limit: number, ...states: PartState[]) {
  const [told, stop] = [[] as string[], new AbortController()];
  let [now, asked] = [0, 0];
  const clock = {
    now: () => now,
    wait: async (ms: number) => {
      now += ms;
    },
  };
  const ask = async () => report(states[Math.min(asked++, states.length - 1)] ?? 'ok');
  const last = await untilWell(ask, limit, { progress: (text) => told.push(text), stop: stop.signal }, clock);
  return { state: last.parts[0]?.state, asked, told };
}

t.test('it ends when all is well, and says once what it waits for', async (t) => {
  t.strictSame(await wait(60_000, 'not-well', 'not-well', 'ok'), {
    state: 'ok',
    asked: 3,
    told: ['waiting: webhook: 1 of 2 Ready\n'],
  });
});

t.test('it ends at the time limit with what is not well', async (t) => {
  t.match(await wait(2000, 'not-well'), { state: 'not-well', asked: 5 });
});

t.test('what cannot be asked is not waited for', async (t) => {
  t.match(await wait(60_000, 'unknown'), { state: 'unknown', asked: 1 });
});
