// The rules of a ruleset that was read again, of which only counters have moved.
import type { RuleLocation, Ruleset } from './model.ts';

/** Finds a rule as it was read again; undefined where it is not part of the ruleset before. */
export type FindAgain = (location: RuleLocation) => RuleLocation | undefined;

/** @param before,after the same rules in the same order */
export function makeFindAgain(before: Ruleset, after: Ruleset): FindAgain {
  return ({ table, chain, rule }) => {
    const found = after[before.indexOf(table)];
    const inChain = found?.chains.get(chain.name);
    if (!found || !inChain) return undefined;
    if (!rule) return { table: found, chain: inChain };
    const anew = inChain.rules[chain.rules.indexOf(rule)];
    return anew && { table: found, chain: inChain, rule: anew };
  };
}
