import t from 'tap';
import { rounds } from '../../bench/rounds.ts';

/** A clock that each look at it moves on. */
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

t.test('no round begins after the time, but for the least', async (t) => {
  t.same([...rounds(10, 1, 3, clock(1000))], [0, 1, 2]);
  t.same([...rounds(10, 5, 0, clock(1000))], [0, 1, 2, 3, 4]);
});
