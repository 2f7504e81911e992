import t from 'tap';
import { median, quantile, ratios, rounds } from '../../bench/samples.ts';

t.test('the median does not depend on the order, and lies between the two in the middle', async (t) => {
  t.equal(median([10, 1, 2]), 2);
  t.equal(median([4, 1, 3, 100]), 3.5);
});

t.test('a quantile is interpolated, and its ends are the least and the greatest sample', async (t) => {
  const samples = [50, 10, 30, 20, 40];
  t.equal(quantile(samples, 0), 10);
  t.equal(quantile(samples, 1), 50);
  t.equal(quantile(samples, 0.375), 25);
  t.same(samples, [50, 10, 30, 20, 40], 'the samples are left as they were');
});

t.test('no samples have no median', async (t) => {
  t.throws(() => median([]), RangeError);
});

t.test('ratios are those of the pairs', async (t) => {
  t.same(ratios([1, 9], [2, 3]), [0.5, 3]);
});

/** A clock that moves on each time it is read. */
function clock(step: number): () => number {
  let time = 0;
  return () => {
    time += step;
    return time;
  };
}

t.test('there are as many rounds as asked for, while time allows', async (t) => {
  t.same([...rounds(4, 1, 10, clock(1))], [0, 1, 2, 3]);
});

t.test('after the time only the rounds of the minimum begin', async (t) => {
  t.same([...rounds(10, 1, 3, clock(1000))], [0, 1, 2]);
  t.same([...rounds(10, 5, 0, clock(1000))], [0, 1, 2, 3, 4]);
});
