// `check --explain`: takes two samples, some seconds apart, and prints the answer.
import { setTimeout as wait } from 'node:timers/promises';
import type { RulesetSnapshot } from '../../lib/netfilter/ruleset-reader.ts';
import { printableJson } from '../../lib/printable.ts';
import { type AnswerWord, answer } from './answer.ts';
import { answerData, answerText } from './answer-text.ts';
import { takeSample } from './evidence.ts';
import type { StrayEvidence } from './stray-evidence.ts';

export interface ExplainOptions {
  /** Time between the samples. */
  seconds: number;
  json: boolean;
  /** Reads the ruleset. */
  read: () => Promise<RulesetSnapshot>;
  /** Reads which connections had stray segments. */
  readStrays: () => Promise<StrayEvidence>;
  /** Writes the answer. */
  write: (text: string) => void;
  /** Shows how many seconds are left; absent without a terminal. */
  progress?: ((text: string) => void) | undefined;
  /** Ends the wait early: the second sample is then taken at once. */
  stop: AbortSignal;
}

/** Clears the terminal's line, after progress was shown. */
export const CLEAR = '\r\u001b[K';

export const EXIT_CODES: Record<AnswerWord, number> = { prevented: 0, 'not this': 0, suspected: 1, 'cannot tell': 2 };

/**
 * Takes both samples and writes the answer, as JSON where `json`.
 * @returns the exit code
 */
export async function explain({
  seconds,
  json,
  read,
  readStrays,
  write,
  progress,
  stop,
}: ExplainOptions): Promise<number> {
  const before = await takeSample(read, readStrays);
  await countDown(seconds, stop, progress);
  const after = await takeSample(read, readStrays);
  const found = answer(before, after);
  write(json ? `${printableJson(answerData(found, before, after), 2)}\n` : answerText(found, before, after));
  return EXIT_CODES[found.answer];
}

/** Waits until the seconds are over or `stop` aborts, and reports each second how many are left. */
export async function countDown(seconds: number, stop: AbortSignal, progress?: (text: string) => void): Promise<void> {
  for (let left = seconds; left > 0 && !stop.aborted; left--) {
    progress?.(`\rwatching: ${left} s left `);
    await wait(1000, undefined, { signal: stop }).catch(() => undefined);
  }
  progress?.(CLEAR);
}
