import { mock } from 'node:test';
import t from 'tap';
import { atOnce } from '../../../node-agent/pods/start-queue.ts';

t.test('a task that takes too long goes on, and no longer keeps others from their turn', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const began: string[] = [];
  const run = atOnce(1, 5000);
  const slow = Promise.withResolvers<string>();
  const task = (name: string, ends: Promise<string>) => () => {
    began.push(name);
    return ends;
  };
  const first = run(task('slow', slow.promise));
  const others = ['second', 'third'].map((name) => run(task(name, Promise.resolve(name))));
  await new Promise(setImmediate);
  t.same(began, ['slow']);
  mock.timers.tick(5000);
  t.same(await Promise.all(others), ['second', 'third']);
  slow.resolve('slow');
  t.equal(await first, 'slow');
  const again = Promise.withResolvers<string>();
  void run(task('fourth', again.promise));
  void run(task('fifth', again.promise));
  await new Promise(setImmediate);
  t.same(began, ['slow', 'second', 'third', 'fourth'], 'its turn is not handed on twice');
  again.resolve('');
});
