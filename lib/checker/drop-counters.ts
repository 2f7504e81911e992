// Counts what the rules that drop INVALID packets have dropped over the life of the checker.
import { identityOf } from '../netfilter/drop-rule.ts';
import { FAMILIES, type Family } from '../netfilter/packet.ts';
import { droppingRules, type RulesetCheck } from '../netfilter/ruleset-check.ts';

export interface DroppedCount {
  packets: number;
  bytes: number;
}

export interface DropCounters {
  total: Record<Family, DroppedCount>;
  /** Last counters of each rule that drops, by its family and identity. */
  rules: Map<string, DroppedCount>;
}

export function emptyDropCounters(): DropCounters {
  return { total: { ipv4: { packets: 0, bytes: 0 }, ipv6: { packets: 0, bytes: 0 } }, rules: new Map() };
}

/**
 * Adds what the rules that drop have counted since the last check. A counter that went back belongs to a rule that was
 * put in anew: it counts from 0. What a lost rule counted after the last check is not known, so that the total is a
 * lower bound.
 */
export function addCheck(counters: DropCounters, check: RulesetCheck): DropCounters {
  const total = { ipv4: { ...counters.total.ipv4 }, ipv6: { ...counters.total.ipv6 } };
  const rules = new Map<string, DroppedCount>();
  for (const family of FAMILIES) {
    for (const location of droppingRules(check.families[family])) {
      const key = `${family} ${identityOf(location)}`;
      // The same rule decides for every interface.
      if (rules.has(key)) continue;
      const now = { packets: location.rule?.packets ?? 0, bytes: location.rule?.bytes ?? 0 };
      rules.set(key, now);
      const before = counters.rules.get(key) ?? { packets: 0, bytes: 0 };
      const anew = now.packets < before.packets || now.bytes < before.bytes;
      total[family].packets += now.packets - (anew ? 0 : before.packets);
      total[family].bytes += now.bytes - (anew ? 0 : before.bytes);
    }
  }
  return { total, rules };
}

/** Forgets the last counters: the rules that come next are new ones. */
export function restartCounters(counters: DropCounters): DropCounters {
  return { ...counters, rules: new Map() };
}
