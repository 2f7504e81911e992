// The wait of the postStart hook: no other container starts before the checker says that it is ready.

/** Milliseconds between two questions. */
const GAP = 25;

/** What the wait needs from outside; tests give their own. */
export interface ReadinessWait {
  /** @returns why the checker is not ready; undefined where it is */
  ask(): Promise<string | undefined>;
  /** @param milliseconds until it returns */
  pause(milliseconds: number): Promise<void>;
  /** Milliseconds of a clock that nobody sets. */
  now(): number;
}

/**
 * Asks until the checker is ready.
 * @param limit milliseconds
 * @returns undefined where it is ready; where the time is over, what it said last
 */
export async function waitUntilReady({ ask, pause, now }: ReadinessWait, limit: number): Promise<string | undefined> {
  const end = now() + limit;
  for (;;) {
    const reason = await ask();
    if (reason === undefined || now() >= end) return reason;
    await pause(GAP);
  }
}
