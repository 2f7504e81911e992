import t from 'tap';
import { takeNamespaceLock } from '../../../lib/netfilter/namespace-lock.ts';

t.test('one run at a time holds the lock, and the next gets it when it is released', async (t) => {
  const order: string[] = [];
  const work = async (name: string) => {
    const lock = await takeNamespaceLock(30_000);
    t.equal(lock.held, true);
    order.push(`${name} in`);
    await new Promise(setImmediate);
    order.push(`${name} out`);
    lock.release();
  };
  await Promise.all(['a', 'b', 'c', 'd'].map(work));
  for (let i = 0; i < order.length; i += 2) {
    t.equal(order[i]?.split(' ')[0], order[i + 1]?.split(' ')[0], order.join(', '));
  }
});

t.test('a lock that nobody releases is not waited for beyond the limit', async (t) => {
  const first = await takeNamespaceLock(1000);
  const second = await takeNamespaceLock(50);
  t.equal(second.held, false);
  second.release();
  first.release();
  const third = await takeNamespaceLock(1000);
  t.equal(third.held, true);
  third.release();
});
