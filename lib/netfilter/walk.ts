// A packet's way through one base chain. Where a condition is "maybe" both ways are walked, so that what comes out is
// every end that the packet can come to, and perhaps a few that it cannot: never fewer.

import type { BaseChain } from './base-chains.ts';
import type { Chain, Rule } from './model.ts';
import type { Packet } from './packet.ts';
import { RuleWalk } from './rule-walk.ts';
import { distinct, type End, type Way } from './way.ts';

/** What the walk of one base chain gives: ways that go on to the next one, and ends. */
export interface Walked {
  ways: Way[];
  ends: End[];
}

/** What is the same for a whole verdict. */
export interface Journey {
  packet: Packet;
  /** Rules to walk as if they were not there. */
  without: ReadonlySet<Rule>;
  /** Rules that may still be looked at: rulesets can be made that take for ever. */
  budget: number;
}

/** What is the same for one base chain, and what its walk collects. */
export interface Context {
  journey: Journey;
  base: BaseChain;
  accepted: Way[];
  ends: End[];
}

/** The kernel allows far fewer nested jumps (NFT_JUMP_STACK_SIZE, xt stack). */
const MAX_DEPTH = 64;
const MAX_WAYS = 64;

/** Walks one base chain. Ways that are alike in all that rules can see are walked once. */
export function walkBaseChain(journey: Journey, base: BaseChain, way: Way): Walked {
  const context: Context = { journey, base, accepted: [], ends: [] };
  const fallen = walkChain(context, base.chain, [way], 0);
  const { ends, accepted } = context;
  if (base.chain.policy === 'accept') return { ways: [...accepted, ...fallen], ends };
  const at = { table: base.table, chain: base.chain };
  return { ways: accepted, ends: [...ends, ...fallen.map((one) => ({ end: 'dropped' as const, at, way: one }))] };
}

/** @returns ways that reach the end of the chain or return from it */
function walkChain(context: Context, chain: Chain, arriving: Way[], depth: number): Way[] {
  const { journey, base } = context;
  if (depth > MAX_DEPTH) return giveUp(context, `more than ${MAX_DEPTH} nested jumps in chain ${chain.name}`);
  const enter = (way: Way, name: string) => {
    const target = base.table.chains.get(name);
    return target ? walkChain(context, target, [way], depth + 1) : undefined;
  };
  let ways = arriving;
  const returned: Way[] = [];
  for (const rule of chain.rules) {
    if (ways.length === 0) break;
    if (journey.without.has(rule)) continue;
    if (journey.budget-- <= 0 || ways.length > MAX_WAYS) return giveUp(context, 'too many ways through the rules');
    const walker = new RuleWalk(context, { table: base.table, chain, rule }, enter);
    for (const way of ways) walker.walk(way, 0);
    returned.push(...walker.returned);
    ways = distinct(walker.next);
  }
  return distinct([...returned, ...ways]);
}

function giveUp(context: Context, reason: string): [] {
  context.ends.push({ end: 'unknown', reason });
  return [];
}
