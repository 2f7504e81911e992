import { setTimeout as wait } from 'node:timers/promises';

/** Waits until the condition holds, looking every few milliseconds; throws after ten seconds. */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 10_000;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`not within 10 s: ${what}`);
    await wait(5);
  }
}
