// Waits for what a cluster does in its own time, with a bound.
import { setTimeout as wait } from 'node:timers/promises';

const LIMIT = 60_000;
const INTERVAL = 200;

/**
 * Asks until the answer is neither undefined nor false, and gives it. What `ask` throws counts as "not yet".
 * @param what a sentence for the error
 * @param limit milliseconds
 * @throws Error with what was last thrown or answered
 */
export async function eventually<T>(
  what: string,
  ask: () => Promise<T | undefined | false> | T | undefined | false,
  limit = LIMIT,
): Promise<T> {
  const end = Date.now() + limit;
  for (;;) {
    let last: unknown;
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer;
      last = answer;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`not within ${limit / 1000} s: ${what} (last: ${last})`);
    await wait(INTERVAL);
  }
}
