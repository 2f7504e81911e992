import t from 'tap';
import { Processors } from './machine-turns.ts';

/** Three machines on two processors, and which of them run. */
function threeOnTwo() {
  const processors = new Processors(2);
  const running = new Set<string>();
  const enter = (name: string) =>
    processors.enter({ pause: () => running.delete(name), resume: () => running.add(name) });
  const leave = ['a', 'b', 'c'].map(enter);
  return { processors, leave, names: () => [...running].sort().join('') };
}

t.test('machines that are more than the processors run in turns', async (t) => {
  const { processors, names } = threeOnTwo();
  const seen = Array.from({ length: 4 }, () => {
    const before = names();
    processors.turn();
    return before;
  });
  t.same(seen, ['ab', 'bc', 'ac', 'ab']);
});

t.test('when one ends, the others run for good', async (t) => {
  const { processors, leave, names } = threeOnTwo();
  leave[0]?.();
  t.equal(names().replace('a', ''), 'bc');
  processors.turn();
  t.equal(names().replace('a', ''), 'bc');
});
