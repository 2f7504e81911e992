import t from 'tap';
import { describeDrift } from '../../bench/drift-bench.ts';
import { waysToLose } from '../../bench/drift-pod.ts';

const losses = (...times: (number | undefined)[]) =>
  times.map((milliseconds, i) => ({ way: i % 2 === 0 ? 'flushed' : 'deleted', milliseconds }));

t.test('every loss must be repaired, and the median of all is compared with the goal', async (t) => {
  const figures = describeDrift('drift', losses(60, 90, 80, 300), { median: 100 });
  t.match(figures, [
    { name: 'drift, repaired', value: 4, unit: 'of 4', ratio: 1, ok: true },
    { name: 'drift, median', value: 85, ok: true },
    { name: 'drift, longest', value: 300, ok: null },
    { name: 'drift, flushed', value: 70 },
    { name: 'drift, deleted', value: 195 },
  ]);
});

t.test('one loss that was not repaired fails the count, and is in no median', async (t) => {
  const [repaired, middle] = describeDrift('drift', losses(60, undefined, 80), { median: 100 });
  t.match(repaired, { value: 2, reference: 3, ok: false });
  t.equal(middle?.value, 70);
});

t.test('where events are missing, the longest repair is compared with the schedule and a margin', async (t) => {
  const longest = (...times: number[]) =>
    describeDrift('drift', losses(...times), { schedule: 1000 }).find(({ name }) => name === 'drift, longest');
  t.match(longest(10, 1499), { reference: 1000, goal: 'value <= 1500', ok: true });
  t.match(longest(10, 1501), { ok: false });
});

t.test('nothing repaired is a count of 0, not an error', async (t) => {
  t.match(describeDrift('drift', losses(undefined), { median: 100 }), [{ value: 0, ok: false }]);
});

t.test('there are five ways to lose the rule with nft, and four with legacy', async (t) => {
  const names = waysToLose('nft', 'ipv4').map(({ name }) => name);
  t.equal(new Set(names).size, 5);
  t.same(
    waysToLose('legacy', 'ipv4').map(({ name }) => name),
    names.filter((name) => name !== 'nft table deleted'),
  );
  const programs = waysToLose('nft', 'ipv6').map(({ lose }) => lose.program);
  t.same([...new Set(programs)], ['ip6tables-nft', 'ip6tables-nft-restore', 'nft'], 'of the family that was asked for');
});
