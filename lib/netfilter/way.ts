// One of the ways that a packet can take through the ruleset, and how rules change it.

import { changeMark, toMark } from './mark.ts';
import type { Action, Chain, Condition, Rule, Table } from './model.ts';
import { type Moment, meets, type Packet } from './packet.ts';

/** A rule and where it stands. */
export interface Place {
  table: Table;
  chain: Chain;
  /** Undefined for the chain's policy. */
  rule?: Rule;
}

/** A way, up to a point. */
export interface Way extends Moment {
  /** Rules that may have let it pass by what stood behind them: ACCEPT, RETURN, goto, TPROXY, marks, NOTRACK. */
  passedBy: Place[];
  /** "Maybe" conditions that this way took as met or not met. */
  guesses: string[];
}

export type End =
  | { end: 'dropped'; at: Place; way: Way }
  | { end: 'reset'; at: Place; way: Way }
  | { end: 'escaped'; way: Way }
  | { end: 'unknown'; reason: string };

/** Bounds of what a report needs. */
const MAX_GUESSES = 3;
const MAX_PASSED_BY = 30;

export function startWay(packet: Packet): Way {
  return { ct: 'invalid', mark: toMark(packet.mark), rewritten: false, passedBy: [], guesses: [] };
}

/** The way of a packet that the rule let pass by what stands behind it. */
export function passBy(way: Way, place: Place): Way {
  return way.passedBy.length < MAX_PASSED_BY ? { ...way, passedBy: [...way.passedBy, place] } : way;
}

export function guess(way: Way, what: string): Way {
  return way.guesses.length < MAX_GUESSES && !way.guesses.includes(what)
    ? { ...way, guesses: [...way.guesses, what] }
    : way;
}

/** Where the way goes by the condition; "maybe" goes both ways. */
export function split(packet: Packet, way: Way, condition: Condition, rule: Rule): { met?: Way; unmet?: Way } {
  const holds = meets(packet, way, condition);
  if (holds !== undefined) return holds ? { met: way } : { unmet: way };
  const both = guess(way, `"${condition.text}" in rule "${rule.text}"`);
  return { met: both, unmet: both };
}

export type Change = Extract<Action, { do: 'mark' | 'notrack' | 'template' | 'rewrite' | 'tproxy' }>;

/** The ways after the change; more than one where the kernels' tools differ. */
export function applyChange(way: Way, action: Change): Way[] {
  switch (action.do) {
    case 'rewrite':
      return [{ ...way, rewritten: true }];
    case 'notrack':
      // A packet that has a template keeps it (xt_ct_target, nft_notrack_eval).
      return [way.ct === 'template' ? way : { ...way, ct: 'untracked' }];
    case 'template':
      // xt_ct_target leaves an untracked packet alone, nft_ct_set_zone_eval does not.
      return way.ct === 'untracked' ? [way, { ...way, ct: 'template' }] : [{ ...way, ct: 'template' }];
    default:
      return [{ ...way, mark: changeMark(way.mark, action.change) }];
  }
}

/** Of ways that rules cannot tell apart the first one stays. */
export function distinct(ways: Way[]): Way[] {
  if (ways.length < 2) return ways;
  const seen = new Map<string, Way>();
  for (const way of ways) {
    const key = `${way.ct} ${way.mark.value} ${way.mark.known} ${way.rewritten}`;
    if (!seen.has(key)) seen.set(key, way);
  }
  return [...seen.values()];
}
