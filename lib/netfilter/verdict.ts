// What becomes of an INVALID TCP packet: the question that this project exists to answer.

import { findBlame } from './blame.ts';
import { travel } from './journey.ts';
import type { Ruleset, Table } from './model.ts';
import type { Packet } from './packet.ts';
import type { End, Place } from './way.ts';

/** A rule, or a chain's policy, as a report names it. */
export interface RuleReference {
  backend: Table['backend'];
  /** Family and name, such as `ip mangle`. */
  table: string;
  chain: string;
  rule: string;
  /** Its counters, where it has any. */
  packets?: number;
  bytes?: number;
}

export type Verdict =
  /** It never reaches a socket; `by` is every rule that can be the one that drops it. */
  | { verdict: 'dropped'; by: RuleReference[] }
  /** It reaches a socket, or is answered with a reset; `by` is the rule that let it pass, if there is one. */
  | { verdict: 'escapes'; by?: RuleReference; reason: string }
  | { verdict: 'unknown'; reason: string };

/**
 * Says what becomes of a packet that conntrack has marked INVALID. Both `dropped` and `escapes` hold for every
 * packet that the description fits; if they differ among themselves, or a rule is not understood, the answer is
 * `unknown` and says why. The rule that an escape is blamed on is the one without which the packet would be dropped.
 */
export function judge(ruleset: Ruleset, packet: Packet): Verdict {
  const ends = travel(ruleset, packet);
  const unknown = ends.find((end) => end.end === 'unknown');
  if (unknown) return { verdict: 'unknown', reason: unknown.reason };
  const known = ends.filter((end) => end.end !== 'unknown');
  const drops = known.filter((end) => end.end === 'dropped');
  if (drops.length === known.length) return { verdict: 'dropped', by: distinctRules(drops.map(({ at }) => refer(at))) };
  if (drops.length > 0) return { verdict: 'unknown', reason: dependsOn(known.flatMap(({ way }) => way.guesses)) };
  const reset = known.find((end) => end.end === 'reset');
  if (reset) return { verdict: 'escapes', by: refer(reset.at), reason: 'answered with a TCP reset' };
  return judgeEscape(ruleset, packet, known);
}

function judgeEscape(ruleset: Ruleset, packet: Packet, ends: Exclude<End, { end: 'unknown' }>[]): Verdict {
  const place = findBlame(ruleset, packet, ends);
  if (!place) return { verdict: 'escapes', reason: 'no rule drops INVALID TCP packets' };
  return { verdict: 'escapes', by: refer(place), reason: `passed by "${place.rule?.text}"` };
}

function dependsOn(guesses: string[]): string {
  const [first, ...rest] = [...new Set(guesses)];
  if (!first) return 'depends on the order of chains at one priority';
  return `depends on ${first}${rest.length > 0 ? ` and ${rest.length} more` : ''}`;
}

function refer({ table, chain, rule }: Place): RuleReference {
  const counters = rule?.packets === undefined ? {} : { packets: rule.packets, bytes: rule.bytes ?? 0 };
  const text = rule?.text ?? `policy ${chain.policy}`;
  return { backend: table.backend, table: `${table.family} ${table.name}`, chain: chain.name, rule: text, ...counters };
}

function distinctRules(rules: RuleReference[]): RuleReference[] {
  return [...new Map(rules.map((rule) => [JSON.stringify(rule), rule])).values()];
}
