// Which rule an escape is to be blamed on.

import { travel } from './journey.ts';
import type { Rule, Ruleset } from './model.ts';
import type { Packet } from './packet.ts';
import type { End, Place } from './way.ts';

/** Rules that are taken out together before the search is given up. */
const MAX_REMOVED = 20;

/**
 * Takes rules that let the packet pass out of the ruleset until it would be dropped, and puts back those that do not
 * matter.
 * @param ends where the packet ends with all rules: none is a drop
 * @returns the rule without which the packet would be dropped (of several that are needed, the one it meets first), or
 *   undefined where no rule would drop it
 */
export function findBlame(ruleset: Ruleset, packet: Packet, ends: End[]): Place | undefined {
  const isDropped = (places: Place[]) => allDropped(travel(ruleset, packet, rulesOf(places)));
  let removed: Place[] = [];
  for (let now = ends; !allDropped(now); now = travel(ruleset, packet, rulesOf(removed))) {
    const gone = rulesOf(removed);
    const next = now.flatMap(passedBy).find(({ rule }) => rule && !gone.has(rule));
    if (!next || removed.length === MAX_REMOVED) return undefined;
    removed.push(next);
  }
  for (const place of [...removed]) {
    const others = removed.filter((one) => one !== place);
    if (isDropped(others)) removed = others;
  }
  return removed[0];
}

function allDropped(ends: End[]): boolean {
  return ends.every(({ end }) => end === 'dropped');
}

function passedBy(end: End): Place[] {
  return end.end === 'escaped' ? end.way.passedBy : [];
}

function rulesOf(places: Place[]): Set<Rule> {
  return new Set(places.flatMap(({ rule }) => rule ?? []));
}
