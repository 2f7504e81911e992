// A packet mark of which only some bits may be known.
import type { MarkChange } from './model.ts';

export interface Mark {
  value: number;
  /** Bits of `value` that are known; the others are 0 there. */
  known: number;
}

export const UNKNOWN_MARK: Mark = { value: 0, known: 0 };

/** A mark that is known in full, or not at all. */
export function toMark(value: number | undefined): Mark {
  return value === undefined ? UNKNOWN_MARK : { value: value >>> 0, known: 0xffffffff };
}

/** The mark after the change; without one nothing is known of it. */
export function changeMark(old: Mark, change: MarkChange | undefined): Mark {
  if (!change) return UNKNOWN_MARK;
  const known = (old.known | ~change.and) >>> 0;
  return { value: (((old.value & change.and) ^ change.xor) & known) >>> 0, known };
}
