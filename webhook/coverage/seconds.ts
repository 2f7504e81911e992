import { shortText } from '../../lib/json.ts';

/** @returns seconds since 1970; 0 where it is no time */
export function secondsOf(time: unknown): number {
  return Math.floor(Date.parse(shortText(time)) / 1000) || 0;
}
