import t from 'tap';
import { guardAll } from '../../../cli/guard/guard-command.ts';
import type { GuardOutcome, GuardResult, GuardTarget } from '../../../cli/guard/guard-outcomes.ts';

const targets = (count: number) => Array.from({ length: count }, (_, index) => ({ namespace: 'a', pod: `p-${index}` }));

/** Runs with the outcome of each pod given by its number. */
async function run(count: number, outcomeOf: (index: number) => GuardOutcome, change: object = {}) {
  const [told, running, most] = [[] as number[], new Set<string>(), { value: 0 }];
  const results = await guardAll(targets(count), {
    concurrency: 3,
    maxFailures: 2,
    stop: new AbortController().signal,
    guard: async (target: GuardTarget): Promise<GuardResult> => {
      running.add(target.pod);
      most.value = Math.max(most.value, running.size);
      await new Promise(setImmediate);
      running.delete(target.pod);
      return { ...target, outcome: outcomeOf(Number(target.pod.slice(2))), detail: '' };
    },
    tell: (_result, done) => told.push(done),
    ...change,
  });
  return { outcomes: results.map(({ outcome }) => outcome), told, most: most.value };
}

t.test('all pods are done, so many at a time, each told once, results in the order of the targets', async (t) => {
  const { outcomes, told, most } = await run(8, (index) => (index === 4 ? 'already-guarded' : 'guarded'));
  t.same(
    outcomes,
    outcomes.with(4, 'already-guarded').map((outcome, index) => (index === 4 ? outcome : 'guarded')),
  );
  t.same(told, [1, 2, 3, 4, 5, 6, 7, 8]);
  t.equal(most, 3);
});

t.test('after too many failures no other pod is begun', async (t) => {
  const { outcomes } = await run(6, () => 'timed-out', { concurrency: 1 });
  t.same(outcomes, ['timed-out', 'timed-out', 'not-tried', 'not-tried', 'not-tried', 'not-tried']);
});

t.test('a pod that is left alone is no failure', async (t) => {
  const { outcomes } = await run(6, () => 'host-network');
  t.notOk(outcomes.includes('not-tried'));
});

t.test('when it is stopped, what is under way is seen through', async (t) => {
  const stop = new AbortController();
  const outcomeOf = (): GuardOutcome => {
    stop.abort();
    return 'guarded';
  };
  const { outcomes } = await run(6, outcomeOf, { stop: stop.signal });
  t.same(outcomes, ['guarded', 'guarded', 'guarded', 'not-tried', 'not-tried', 'not-tried']);
});
