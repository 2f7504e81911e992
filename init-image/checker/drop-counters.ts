// Counts what the deciding rules dropped, over the life of the checker.

import { rulesOf } from '../../lib/netfilter/check-report.ts';
import type { Family } from '../../lib/netfilter/model.ts';
import { FAMILIES } from '../../lib/netfilter/programs.ts';
import type { Look } from '../../lib/netfilter/ruleset-check.ts';
import type { RuleReference } from '../../lib/netfilter/verdict.ts';

export interface Count {
  packets: number;
  bytes: number;
}

export interface Tally {
  total: Record<Family, Count>;
  /** Last counters of each deciding rule. */
  rules: Map<string, Count>;
}

export function emptyTally(): Tally {
  return { total: { ipv4: { packets: 0, bytes: 0 }, ipv6: { packets: 0, bytes: 0 } }, rules: new Map() };
}

/**
 * Adds what the rules that drop have counted since the last look. A counter that went back belongs to a rule that
 * was put in anew: it counts from 0. What a lost rule counted after the last look is not known, so that the total
 * is a lower bound.
 */
export function addLook(tally: Tally, look: Look): Tally {
  const total = { ipv4: { ...tally.total.ipv4 }, ipv6: { ...tally.total.ipv6 } };
  const rules = new Map<string, Count>();
  for (const family of FAMILIES) {
    for (const rule of decidingRules(look, family)) {
      const key = keyOf(family, rule);
      const now = { packets: rule.packets ?? 0, bytes: rule.bytes ?? 0 };
      if (rules.has(key)) continue;
      rules.set(key, now);
      const before = tally.rules.get(key) ?? { packets: 0, bytes: 0 };
      const anew = now.packets < before.packets || now.bytes < before.bytes;
      total[family].packets += now.packets - (anew ? 0 : before.packets);
      total[family].bytes += now.bytes - (anew ? 0 : before.bytes);
    }
  }
  return { total, rules };
}

/** Forgets the counters: the rules that come next are new ones. */
export function restartCounters(tally: Tally): Tally {
  return { ...tally, rules: new Map() };
}

function keyOf(family: Family, { backend, table, chain, rule }: RuleReference): string {
  return [family, backend, table, chain, rule].join(' ');
}

/** The rules that drop, each once: the same rule decides for every interface. */
function decidingRules(look: Look, family: Family): RuleReference[] {
  const verdicts = Object.values(look.families[family].classes);
  return verdicts.filter(({ verdict }) => verdict === 'dropped').flatMap(rulesOf);
}
