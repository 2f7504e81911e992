// A bound on the log lines of one pod: what runs in it can change its own rules as often as it likes, and every change is a
// line.

import type { Log } from '../../lib/log.ts';

/** Lines that a pod may write at once, and milliseconds until it has one more. */
const [BURST, REFILL_MS] = [20, 10_000];

/**
 * @param details that each line has
 * @param now milliseconds of a clock that nobody sets
 * @returns a log that leaves lines out beyond the bound, and says in the next line how many
 */
export function boundedLog(log: Log, details: Record<string, unknown>, now: () => number): Log {
  let [tokens, refilledAt, leftOut] = [BURST, now(), 0];
  return (level, event, more) => {
    const refills = Math.floor((now() - refilledAt) / REFILL_MS);
    tokens = Math.min(BURST, tokens + refills);
    refilledAt += refills * REFILL_MS;
    if (tokens === 0) {
      leftOut += 1;
      return;
    }
    tokens -= 1;
    log(level, event, { ...details, ...more, ...(leftOut > 0 && { leftOut }) });
    leftOut = 0;
  };
}
