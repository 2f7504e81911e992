import { setTimeout as wait } from 'node:timers/promises';
import { patient } from '../harness/netns/processes.ts';

/** Milliseconds between two looks: on a machine that is slow, looking keeps it from what is waited for. */
const STEP = patient(10);

/** Waits until the condition holds, looking every few milliseconds; throws after a minute. */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 60_000;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`not within 60 s: ${what}`);
    await wait(STEP);
  }
}
