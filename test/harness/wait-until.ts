// Waits for a condition, within a limit.
import { setTimeout as sleep } from 'node:timers/promises';
import { patient } from './netns/processes.ts';

/** An answer that ends the wait; undefined or false where it is not there yet. */
type Answer<T> = T | undefined | false;

/**
 * Asks until the answer is neither undefined nor false.
 * @param limit milliseconds
 * @param interval milliseconds between two questions
 * @returns the answer; undefined where `limit` is over
 * @throws what `ask` throws, and the signal's reason where it aborts
 */
export async function waitUntil<T>(
  ask: () => Promise<Answer<T>> | Answer<T>,
  limit: number,
  signal?: AbortSignal,
  interval = 100,
): Promise<T | undefined> {
  const end = performance.now() + limit;
  for (;;) {
    signal?.throwIfAborted();
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > end) return undefined;
    await sleep(interval);
  }
}

/**
 * As waitUntil, for what a cluster does: an error of `ask` counts as "not yet", and the end of the time is an error.
 * @param what a sentence for the error
 * @throws Error with what was last thrown or answered
 */
export async function eventually<T>(
  what: string,
  ask: () => Promise<Answer<T>> | Answer<T>,
  limit = 60_000,
): Promise<T> {
  let last: unknown;
  const tried = async () => {
    try {
      const answer = await ask();
      last = answer;
      return answer;
    } catch (error) {
      last = error;
      return undefined;
    }
  };
  const answer = await waitUntil(tried, limit, undefined, 200);
  if (answer === undefined) throw new Error(`not within ${limit / 1000} s: ${what} (last: ${last})`);
  return answer;
}

/** Milliseconds between two questions: on a slow machine, asking delays what is waited for. */
const STEP = patient(10);

/**
 * Waits for what happens on this machine, within a minute.
 * @param what a sentence for the error
 * @throws Error where it has not happened, and what `condition` throws
 */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  if (!(await waitUntil(condition, 60_000, undefined, STEP))) throw new Error(`not within 60 s: ${what}`);
}
