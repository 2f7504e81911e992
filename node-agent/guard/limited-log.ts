// A pod may change its rules all the time, and each change is worth a line: not without end.
import type { Log } from '../../lib/log.ts';

const LINES = 60;
const PERIOD = 60_000;

/** @returns a log that passes a number of lines a minute on, and says how many it has not */
export function limitLog(log: Log, now: () => number = () => performance.now()): Log {
  let period = { since: Number.NEGATIVE_INFINITY, left: LINES };
  let dropped = 0;
  return (level, event, details) => {
    if (now() - period.since >= PERIOD) period = { since: now(), left: LINES };
    if (period.left <= 0) {
      dropped++;
      return;
    }
    period.left--;
    log(level, event, { ...details, ...(dropped > 0 && { notLogged: dropped }) });
    dropped = 0;
  };
}
