import t from 'tap';
import { waitUntilReady } from '../../../init-image/checker/wait-until-ready.ts';

/** A checker that says these things one after the other, the last one for ever; a clock that only pauses move. */
function made(...said: (string | undefined)[]) {
  const waited: number[] = [];
  let time = 0;
  let asked = 0;
  const wait = {
    ask: async () => said[Math.min(asked++, said.length - 1)],
    pause: async (milliseconds: number) => {
      waited.push(milliseconds);
      time += milliseconds;
    },
    now: () => time,
  };
  return { wait, waited, asked: () => asked };
}

t.test('it ends at the first answer that says ready', async (t) => {
  const { wait, asked, waited } = made('connect ECONNREFUSED', 'no check has succeeded yet', undefined);
  t.equal(await waitUntilReady(wait, 120_000), undefined);
  t.equal(asked(), 3);
  t.ok(
    waited.every((milliseconds) => milliseconds >= 20 && milliseconds <= 50),
    'often enough, and no more',
  );
});

t.test('it gives up when the time is over, with what was said last', async (t) => {
  const { wait, waited } = made('connect ECONNREFUSED', 'no check has succeeded yet');
  t.equal(await waitUntilReady(wait, 1000), 'no check has succeeded yet');
  t.equal(
    waited.reduce((sum, milliseconds) => sum + milliseconds, 0),
    1000,
  );
});

t.test('it asks once where there is no time at all', async (t) => {
  const { wait, asked } = made('no');
  t.equal(await waitUntilReady(wait, 0), 'no');
  t.equal(asked(), 1);
});
