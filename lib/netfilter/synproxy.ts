// SYNPROXY lives on INVALID packets: it answers a connection's first packet, UNTRACKED, in place of the socket, so that
// conntrack does not know the connection when the third packet arrives (iptables-extensions(8), SYNPROXY, which asks for
// nf_conntrack_tcp_loose=0). A rule that drops INVALID packets drops that one: no connection comes about.
import { isOfFamily, type RuleLocation, type Ruleset, type Step } from './model.ts';
import type { Family } from './packet.ts';

/** A rule with SYNPROXY that packets of the family can meet, if there is one. */
export function findSynproxy(ruleset: Ruleset, family: Family): RuleLocation | undefined {
  const tables = ruleset.filter((table) => table.dormant !== true && isOfFamily(table, family));
  return tables
    .flatMap((table) =>
      [...table.chains.values()].flatMap((chain) => chain.rules.map((rule) => ({ table, chain, rule }))),
    )
    .find(({ rule }) => rule.steps.some(isSynproxy));
}

function isSynproxy(step: Step): boolean {
  if ('xt' in step) return step.xt.type === 'target' && step.xt.name === 'SYNPROXY';
  return 'act' in step && step.act.do === 'synproxy';
}
