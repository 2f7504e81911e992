// A clock that goes on by hand.
import type { CollectorClock } from '../../../webhook/collection/collector.ts';

export interface MadeClock extends CollectorClock {
  /** Goes on until that time, calling back whatever is due. */
  goTo(until: number): Promise<void>;
}

export function makeClock(): MadeClock {
  const NEVER = { at: Number.POSITIVE_INFINITY, run: () => {} };
  let [time, next] = [0, NEVER];
  return {
    now: () => time,
    later(run, milliseconds) {
      next = { at: time + milliseconds, run };
      return () => {
        next = NEVER;
      };
    },
    async goTo(until) {
      while (next.at <= until) {
        const { at, run } = next;
        time = at;
        next = NEVER;
        run();
        await new Promise(setImmediate);
      }
      time = until;
    },
  };
}
