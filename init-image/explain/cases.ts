// Every answer that two samples can have, in one list: the first case that holds is the answer.
import type { Advice } from './advice.ts';
import { type RulesetEvidence, redirectionModes } from './evidence.ts';
import type { Growth } from './growth.ts';

export type AnswerWord = 'prevented' | 'suspected' | 'not this' | 'cannot tell';

/** What is known where rules and counters could be read. */
export interface Known extends Growth {
  result: RulesetEvidence['result'];
  rules: RulesetEvidence;
  reasons: string;
}

export interface Case {
  code: string;
  answer: AnswerWord;
  when(known: Known): boolean;
  why(known: Known): string;
  advice: Advice[];
}

export const CASES: Case[] = [
  {
    code: 'dropped',
    answer: 'prevented',
    when: ({ result, dropped }) => result === 'guarded' && (dropped ?? 0) > 0,
    why: ({ dropped, resets }) =>
      `INVALID packets arrived and ${count(dropped ?? 0, 'was', 'were')} dropped, each a reset that may have been prevented.${
        resets > 0 ? ` The ${count(resets, 'reset', 'resets')} sent meanwhile had another cause.` : ''
      }`,
    advice: ['nothing-to-do'],
  },
  {
    code: 'guarded-resets',
    answer: 'not this',
    when: ({ result, resets }) => result === 'guarded' && resets > 0,
    why: ({ resets }) =>
      `${count(resets, 'reset was', 'resets were')} sent, and no INVALID TCP packet can reach a socket here: all are dropped.`,
    advice: ['other-causes', 'watch-node'],
  },
  {
    code: 'no-resets-sent',
    answer: 'not this',
    when: ({ resets, cut }) => resets === 0 && (cut ?? 0) > 0,
    why: ({ cut }) =>
      `${count(cut ?? 0, 'established connection was', 'established connections were')} reset by the peer; this pod itself sent no reset.`,
    advice: ['look-at-peer'],
  },
  {
    code: 'invalid-without-resets',
    answer: 'not this',
    when: ({ result, invalid, resets }) => result !== 'guarded' && invalid > 0 && resets === 0,
    why: ({ invalid }) =>
      `${count(invalid, 'packet was', 'packets were')} INVALID and none was answered with a reset while it watched.`,
    advice: ['run-longer', 'guard'],
  },
  {
    code: 'dropped-earlier',
    answer: 'prevented',
    when: ({ result, resets, droppedBefore }) => result === 'guarded' && resets === 0 && (droppedBefore ?? 0) > 0,
    why: ({ droppedBefore }) =>
      `Nothing happened while it watched. Since the rule was put in, ${count(droppedBefore ?? 0, 'INVALID packet was', 'INVALID packets were')} dropped.`,
    advice: ['nothing-to-do'],
  },
  {
    code: 'nothing-happened',
    answer: 'cannot tell',
    when: ({ resets }) => resets === 0,
    why: ({ result }) =>
      `No reset was sent and none received while it watched.${
        result === 'guarded' ? ' As long as the rule is there, this pod cannot send a reset of this kind.' : ''
      }`,
    advice: ['run-longer'],
  },
  {
    code: 'resets-without-invalid',
    answer: 'not this',
    when: ({ invalid }) => invalid === 0,
    why: ({ resets }) => `${count(resets, 'reset was', 'resets were')} sent, and no packet was INVALID in this pod.`,
    advice: ['other-causes', 'watch-node'],
  },
  {
    code: 'ruleset-not-judged',
    answer: 'cannot tell',
    when: ({ result }) => result === 'cannot tell',
    why: ({ reasons }) => `INVALID packets and resets grew together, but what the rules do is not known: ${reasons}.`,
    advice: ['watch-node'],
  },
  {
    code: 'no-redirect',
    answer: 'not this',
    when: ({ rules }) => redirectionModes(rules).every((mode) => mode === 'none'),
    why: () => 'No rule redirects inbound connections, so a stray segment finds its own connection.',
    advice: ['other-causes', 'watch-node'],
  },
  {
    code: 'redirect-not-known',
    answer: 'cannot tell',
    when: ({ rules }) =>
      !redirectionModes(rules).some((mode) => mode.startsWith('REDIRECT')) &&
      redirectionModes(rules).includes('unknown'),
    why: () => 'INVALID packets and resets grew together, but whether connections are redirected cannot be read.',
    advice: ['watch-node'],
  },
  {
    code: 'tproxy',
    answer: 'cannot tell',
    when: ({ rules }) => !redirectionModes(rules).some((mode) => mode.startsWith('REDIRECT')),
    why: () =>
      'INVALID packets and resets grew together. But TPROXY hands connections over without NAT, so a stray segment finds its own connection and is not answered with a reset.',
    advice: ['watch-node', 'guard'],
  },
  {
    code: 'invalid-and-resets',
    answer: 'suspected',
    when: () => true,
    why: ({ invalid, resets, reasons }) =>
      `${count(invalid, 'packet was', 'packets were')} INVALID and ${count(resets, 'reset was', 'resets were')} sent, and nothing drops INVALID packets for sure: ${reasons}.${
        resets > invalid ? ` At most ${invalid} of the resets can be of this kind.` : ''
      }`,
    advice: ['guard', 'watch-node'],
  },
];

function count(number: number, one: string, many: string): string {
  return `${number} ${number === 1 ? one : many}`;
}
