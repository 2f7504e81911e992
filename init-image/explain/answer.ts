// "Was it this?": from two samples of a pod's evidence to an answer in words.
import { ADVICE, type Advice } from './advice.ts';
import { type AnswerWord, CASES, type Known } from './cases.ts';
import type { EvidenceSample, RulesetEvidence } from './evidence.ts';
import { growth } from './growth.ts';

export interface Answer {
  answer: AnswerWord;
  /** Stable word for the case. */
  code: string;
  why: string;
  advice: string[];
}

/** Codes of answers for want of evidence. */
export const NO_CASES = ['rules-unreadable', 'counters-missing'] as const;

/**
 * Answers from two samples of one namespace, `before` and `after`. What could not be read makes "cannot tell": nothing
 * is guessed.
 */
export function answer(before: EvidenceSample, after: EvidenceSample): Answer {
  const { rules } = after;
  if ('unreadable' in before.rules || 'unreadable' in rules) {
    const reason = [before.rules, rules].flatMap((one) => ('unreadable' in one ? one.unreadable : []))[0];
    return cannotTell('rules-unreadable', `The rules cannot be read: ${reason}.`, ['grant-net-admin']);
  }
  const grown = growth(before, after);
  if (typeof grown === 'string') return cannotTell('counters-missing', grown, ['watch-node']);
  const result = worst(before.rules.result, rules.result);
  const reasons = [...new Set([...before.rules.reasons, ...rules.reasons])].join('; ');
  const known: Known = { ...grown, result, rules, reasons };
  const found = CASES.find(({ when }) => when(known));
  if (!found) throw new TypeError('the last case holds always');
  return { answer: found.answer, code: found.code, why: found.why(known), advice: toWords(found.advice) };
}

function worst(...results: RulesetEvidence['result'][]): RulesetEvidence['result'] {
  const order: RulesetEvidence['result'][] = ['not guarded', 'cannot tell', 'guarded'];
  return order.find((one) => results.includes(one)) ?? 'cannot tell';
}

function cannotTell(code: (typeof NO_CASES)[number], why: string, advice: Advice[]): Answer {
  return { answer: 'cannot tell', code, why, advice: toWords(advice) };
}

function toWords(advice: Advice[]): string[] {
  return [...advice.map((name) => ADVICE[name]), ADVICE['other-nodes']];
}
