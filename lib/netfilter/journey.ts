// A packet's way through all base chains of a ruleset: every end that it can come to.

import { type BaseChain, conntrackHasRun, orders, stations } from './base-chains.ts';
import type { Rule, Ruleset } from './model.ts';
import type { Packet } from './packet.ts';
import { type Journey, type Walked, walkBaseChain } from './walk.ts';
import { distinct, type End, guess, startWay, type Way } from './way.ts';

/** Rules looked at for one packet; a pod's ruleset has some tens. */
const BUDGET = 100_000;

/**
 * @param without rules to walk as if they were not there
 * @returns at least every end that the packet can come to
 */
export function travel(ruleset: Ruleset, packet: Packet, without: ReadonlySet<Rule> = new Set()): End[] {
  const journey: Journey = { packet, without, budget: BUDGET };
  let ways: Way[] = [startWay(packet)];
  const ends: End[] = [];
  for (const group of stations(ruleset, packet)) {
    if (ways.length === 0) break;
    const walked = orders(group)?.map((order) => walkInOrder(journey, order, ways)) ?? [tooManyOrders(group)];
    ends.push(...walked.flatMap((result) => result.ends));
    ways = distinct(walked.flatMap((result) => result.ways));
  }
  return [...ends, ...ways.map(toEnd)];
}

function walkInOrder(journey: Journey, chains: BaseChain[], arriving: Way[]): Walked {
  const ends: End[] = [];
  let ways = arriving;
  for (const base of chains) {
    const walked = ways.map((way) => walkBaseChain(journey, base, passConntrack(way, base)));
    ends.push(...walked.flatMap((result) => result.ends));
    const { doubt } = base;
    const passing = walked.flatMap((result) => result.ways);
    ways = distinct(doubt ? [...passing, ...ways.map((way) => guess(way, doubt))] : passing);
  }
  return { ends, ways };
}

/** The packet as the chain meets it: conntrack has taken the template off before all later chains. */
function passConntrack(way: Way, { hook }: BaseChain): Way {
  return conntrackHasRun(hook) && way.ct === 'template' ? { ...way, ct: 'invalid' } : way;
}

function tooManyOrders(group: BaseChain[]): Walked {
  return { ways: [], ends: [{ end: 'unknown', reason: `${group.length} chains share one priority` }] };
}

/** A packet whose header was rewritten may go elsewhere, or be discarded, and so is not known to escape. */
function toEnd(way: Way): End {
  return way.rewritten ? { end: 'unknown', reason: 'a rule rewrites the packet' } : { end: 'escaped', way };
}
