import t from 'tap';
import { Turns, takeTurns } from './turns.ts';

t.test('a report is in the order of its parts, whatever order they are made in', async (t) => {
  const printed: string[] = [];
  const turns = new Turns((line) => printed.push(line));
  turns.say(1, 'b1');
  turns.say(0, 'a1');
  turns.say(2, 'c1');
  turns.end(2);
  turns.say(1, 'b2');
  t.same(printed, ['a1'], 'the first is printed as it comes');
  turns.end(0);
  t.same(printed, ['a1', 'b1', 'b2'], 'then what the second has said meanwhile');
  turns.say(1, 'b3');
  turns.end(1);
  t.same(printed, ['a1', 'b1', 'b2', 'b3', 'c1']);
});

t.test('no more work is begun than may run at once, and all of it in the end', async (t) => {
  const begun: string[] = [];
  const waiting: (() => void)[] = [];
  const all = takeTurns(['a', 'b', 'c'], 2, async (one, turn) => {
    begun.push(`${turn}${one}`);
    await new Promise<void>((resolve) => waiting.push(resolve));
  });
  t.same(begun, ['0a', '1b']);
  waiting[1]?.();
  await new Promise(setImmediate);
  t.same(begun, ['0a', '1b', '2c']);
  for (const end of waiting) end();
  await all;
});

t.test('work that fails is told', async (t) => {
  await t.rejects(
    takeTurns(['a'], 2, async () => Promise.reject(new Error('it broke'))),
    { message: 'it broke' },
  );
});
