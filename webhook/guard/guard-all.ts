// Many pods, some at once, until too many have failed.
import { kindOf, type Result, type Target } from './guard-outcomes.ts';

export interface RunOptions {
  concurrency: number;
  /** After so many failures no other pod is begun. */
  maxFailures: number;
  /** When it fires, no other pod is begun. */
  stop: AbortSignal;
  /** Never rejects. */
  guard(target: Target): Promise<Result>;
  /** Called as each pod is done. */
  tell(result: Result, done: number): void;
}

/** @returns a result for each target, in their order; what was under way at the stop is seen through */
export async function guardAll(targets: Target[], options: RunOptions): Promise<Result[]> {
  const results = targets.map((target): Result => ({ ...target, outcome: 'not-tried', detail: '' }));
  let [next, done, failures] = [0, 0, 0];
  const worker = async () => {
    while (next < targets.length && failures < options.maxFailures && !options.stop.aborted) {
      const index = next++;
      const target = targets[index];
      if (target === undefined) return;
      const result = await options.guard(target);
      results[index] = result;
      done += 1;
      if (kindOf(result.outcome) === 'failed') failures += 1;
      options.tell(result, done);
    }
  };
  await Promise.all(Array.from({ length: options.concurrency }, worker));
  return results;
}
