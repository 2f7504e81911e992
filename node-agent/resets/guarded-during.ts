// Whether the rule can have been absent when a reset was sent. Pure.
import type { GuardedTime } from './watched-namespace.ts';

/**
 * @param from when the reset can have been sent at the earliest
 * @returns why the rule did not prevent the reset; undefined where it was in place all the time since then, so that the
 *   reset has another cause
 */
export function whyNotPrevented({ since, reason }: GuardedTime, from: number): string | undefined {
  if (since === null) return `the pod is not guarded: ${reason}`;
  return since > from ? 'the pod was not guarded when the reset was sent, and is since' : undefined;
}
