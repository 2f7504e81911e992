// `check --explain`: two samples, some seconds apart, and the answer.
import { setTimeout as wait } from 'node:timers/promises';
import type { RulesetSnapshot } from '../../lib/netfilter/ruleset-reader.ts';
import { answer } from './answer.ts';
import { answerData, answerText } from './answer-text.ts';
import type { AnswerWord } from './cases.ts';
import { takeSample } from './evidence.ts';

export interface ExplainOptions {
  seconds: number;
  json: boolean;
  read: () => Promise<RulesetSnapshot>;
  /** Writes the answer. */
  write: (text: string) => void;
  /** Shows how far it is, for whoever waits; absent where nobody does. */
  progress?: ((text: string) => void) | undefined;
  /** Ends the waiting before its time: the second sample is then taken at once. */
  stop: AbortSignal;
}

/** Clears the terminal's line, for what comes after the progress. */
export const CLEAR = '\r\u001b[K';

export const EXIT_CODES: Record<AnswerWord, number> = { prevented: 0, 'not this': 0, suspected: 1, 'cannot tell': 2 };

/** @returns the exit code */
export async function explain({ seconds, json, read, write, progress, stop }: ExplainOptions): Promise<number> {
  const before = await takeSample(read);
  await countDown(seconds, stop, progress);
  const after = await takeSample(read);
  const found = answer(before, after);
  write(json ? `${JSON.stringify(answerData(found, before, after), null, 2)}\n` : answerText(found, before, after));
  return EXIT_CODES[found.answer];
}

/** Waits, and says each second how long it will still take. */
export async function countDown(seconds: number, stop: AbortSignal, progress?: (text: string) => void): Promise<void> {
  for (let left = seconds; left > 0 && !stop.aborted; left--) {
    progress?.(`\rwatching: ${left} s left `);
    await wait(1000, undefined, { signal: stop }).catch(() => undefined);
  }
  progress?.(CLEAR);
}
