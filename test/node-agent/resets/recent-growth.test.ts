import t from 'tap';
import { RecentGrowth } from '../../../node-agent/resets/recent-growth.ts';

/** What is left after each reading. */
function readings(...values: (number | null)[]) {
  const growth = new RecentGrowth();
  return values.map((value) => {
    growth.take(value);
    return growth.left;
  });
}

t.test('growth begins with the first reading, and counts until the reading after the next', async (t) => {
  t.same(readings(1000, 1003, 1004, 1004, 1004), [0, 3, 4, 1, 0]);
});

t.test('a counter that cannot be read is unknown, and what it grew meanwhile counts afterwards', async (t) => {
  t.same(readings(null, 7, null, 9), [null, 0, null, 2]);
});

t.test('a counter that begins again has not grown', async (t) => {
  t.same(readings(50, 2, 3), [0, 0, 1]);
});

t.test('what explains an event is used up, the older growth first', async (t) => {
  const growth = new RecentGrowth();
  for (const value of [0, 1, 3]) growth.take(value);
  growth.use();
  t.equal(growth.left, 2);
  growth.take(3);
  t.equal(growth.left, 2, 'the growth that was used is the one that would have expired');
  for (let i = 0; i < 3; i++) growth.use();
  t.equal(growth.left, 0, 'and never less than none');
  growth.take(5);
  t.equal(growth.left, 1, 'an event that was read before the counter is in what it grew');
});
