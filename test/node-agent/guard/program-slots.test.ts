import t from 'tap';
import { ProgramSlots } from '../../../node-agent/guard/program-slots.ts';

/** A program that ends when it is told to. */
function makeProgram(started: string[], name: string) {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const program = () => {
    started.push(name);
    return promise;
  };
  return { program, end: () => resolve(name), fail: () => reject(new Error(name)) };
}

t.test('no more programs than slots, and urgent ones before all that wait', async (t) => {
  const started: string[] = [];
  const slots = new ProgramSlots(2);
  const [a, b, c, d, e] = ['a', 'b', 'c', 'd', 'e'].map((name) => makeProgram(started, name));
  if (!a || !b || !c || !d || !e) throw new Error('five are made');
  const ended = [slots.run(false, a.program), slots.run(true, b.program), slots.run(false, c.program)];
  ended.push(slots.run(false, d.program), slots.run(true, e.program));
  t.same(started, ['a', 'b']);
  b.end();
  t.equal(await ended[1], 'b');
  t.same(started, ['a', 'b', 'e']);
  a.fail();
  await t.rejects(ended[0] as Promise<string>, { message: 'a' });
  t.same(started, ['a', 'b', 'e', 'c'], 'one that fails leaves its slot too');
  for (const one of [c, d, e]) one.end();
  t.same(await Promise.all(ended.slice(2)), ['c', 'd', 'e']);
  t.equal(await slots.run(false, async () => 'free again'), 'free again');
});
