// Waits for a condition, with a bound.
import { setTimeout as sleep } from 'node:timers/promises';

const INTERVAL = 100;

/**
 * Asks until the answer is not undefined or false.
 * @param limit milliseconds
 * @returns the answer; undefined where `limit` is over
 * @throws what `ask` throws, and the signal's reason where it aborts
 */
export async function until<T>(
  ask: () => Promise<T | undefined | false>,
  limit: number,
  signal?: AbortSignal,
): Promise<T | undefined> {
  const end = performance.now() + limit;
  for (;;) {
    signal?.throwIfAborted();
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > end) return undefined;
    await sleep(INTERVAL);
  }
}
