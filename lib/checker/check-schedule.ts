// When to check: at once when the kernel reports a change, and on a schedule in any case.
import type { Trigger } from './checker.ts';

const FIRST_GAP = 20;
/** Where none is given. */
const LAST_GAP = 1000;
/** Until a check that failed is tried again: doubled with each failure in a row. */
const [FIRST_RETRY, LAST_RETRY] = [1000, 30_000];

/** What a schedule may be told besides; milliseconds. */
export interface ScheduleLimits {
  /** Between checks at most, where changes keep coming. */
  lastGap?: number;
  /** Least time to the next check, asked after each: one that is expensive must not be asked for at will. */
  pause?(): number;
}

/**
 * Runs one check at a time. Changes that come while one runs lead to one more check, for all of them together; where
 * they keep coming, the gap between checks doubles up to a limit, so that a storm of changes costs little.
 */
export class CheckSchedule {
  private busy = false;
  private pending = false;
  private gap = FIRST_GAP;
  private failures = 0;
  private timer: NodeJS.Timeout | undefined;
  private gapTimer: NodeJS.Timeout | undefined;
  private stopped = false;
  private current: Promise<void> = Promise.resolve();
  private readonly check: (trigger: Trigger) => Promise<boolean>;
  private readonly interval: () => number;
  private readonly lastGap: number;
  private readonly pause: () => number;

  /**
   * @param check one check; false where the ruleset could not be read, and is to be read again soon. Must not throw.
   * @param interval milliseconds from the end of a check to the next, asked after each
   */
  constructor(
    check: (trigger: Trigger) => Promise<boolean>,
    interval: () => number,
    { lastGap = LAST_GAP, pause = () => 0 }: ScheduleLimits = {},
  ) {
    this.check = check;
    this.interval = interval;
    this.lastGap = lastGap;
    this.pause = pause;
  }

  start(): Promise<void> {
    return this.run('start');
  }

  /** The kernel says that the ruleset has changed. */
  changed(): void {
    this.pending = true;
    if (!this.busy && !this.gapTimer && !this.stopped) void this.run('event');
  }

  /** One check ahead of the schedule; none where one runs. */
  checkNow(): void {
    if (!this.busy && !this.gapTimer && !this.stopped) void this.run('schedule');
  }

  /** @returns after the check that runs, if one does: no other follows */
  stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    clearTimeout(this.gapTimer);
    return this.current;
  }

  private run(trigger: Trigger): Promise<void> {
    this.current = this.runOnce(trigger);
    return this.current;
  }

  private async runOnce(trigger: Trigger): Promise<void> {
    clearTimeout(this.timer);
    this.busy = true;
    this.pending = false;
    const done = await this.check(trigger);
    this.busy = false;
    if (this.stopped) return;
    const pause = this.pause();
    this.failures = done ? 0 : this.failures + 1;
    const retry = Math.min(FIRST_RETRY * 2 ** (this.failures - 1), LAST_RETRY);
    const next = Math.max(pause, done ? this.interval() : Math.min(retry, this.interval()));
    this.timer = setTimeout(() => void this.run(done ? 'schedule' : 'retry'), next);
    if (trigger === 'event' || this.pending || pause > 0) this.holdOff(pause);
  }

  private holdOff(pause: number): void {
    this.gapTimer ??= setTimeout(
      () => {
        this.gapTimer = undefined;
        if (this.pending && !this.busy) {
          this.gap = Math.min(this.gap * 2, this.lastGap);
          void this.run('event');
        } else {
          this.gap = FIRST_GAP;
        }
      },
      Math.max(this.gap, pause),
    );
  }
}
