// The rule itself, and how to tell whose a rule is.
import type { Protocol } from '../contract.ts';
import type { Family, Ruleset } from './model.ts';
import type { RuleReference } from './verdict.ts';

export const TABLE = 'mangle';
export const CHAIN = 'PREROUTING';

/** The rule without `-A CHAIN`. `all` is what istio-iptables up to 1.23 adds, to the letter. */
export const RULE: Record<Protocol, string> = {
  tcp: '-p tcp -m conntrack --ctstate INVALID -j DROP',
  all: '-m conntrack --ctstate INVALID -j DROP',
};

/** Where our rule stands in a chain: 1-based positions, in the order of the chain. */
export function positionsOf(ruleset: Ruleset, family: Family, backend: 'nft' | 'legacy', protocol: Protocol): number[] {
  const tableFamily = family === 'ipv4' ? 'ip' : 'ip6';
  const table = ruleset.find((one) => one.backend === backend && one.family === tableFamily && one.name === TABLE);
  const texts = table?.chains.get(CHAIN)?.rules.map((rule) => rule.text) ?? [];
  return texts.flatMap((text, i) => (text === `-A ${CHAIN} ${RULE[protocol]}` ? [i + 1] : []));
}

/**
 * Whose rule it is that drops, in words for a report. Forms of Istio's INVALID_DROP: up to 1.23 the rule without
 * `-p tcp`, from 1.24 a jump to ISTIO_DROP, native nftables from 1.28.
 */
export function ownerOf({ table, chain, rule }: RuleReference): string {
  if (chain === 'ISTIO_DROP') return 'istio (INVALID_DROP, 1.24 or later)';
  if (table === 'inet istio-proxy-mangle') return 'istio (INVALID_DROP, native nftables)';
  if (rule === `-A ${CHAIN} ${RULE.all}`) return 'istio (INVALID_DROP, up to 1.23) or invalid-drop with protocol=all';
  if (rule === `-A ${CHAIN} ${RULE.tcp}`) return 'invalid-drop';
  return 'another program';
}
