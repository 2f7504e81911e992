// All that the tools printed to one ruleset.
import { parseSave } from './iptables-save.ts';
import type { Chain, Family, Rule, Ruleset, Step, Table } from './model.ts';
import { type NftRule, parseNft } from './nft-json.ts';

/** What the tools printed in one network namespace; an absent member means that there is nothing of that kind. */
export interface Printed {
  /** `nft -j list ruleset` */
  nft?: string;
  /** `iptables-nft-save -c` and `ip6tables-nft-save -c` */
  nftSave?: Partial<Record<Family, string>>;
  /** `iptables-legacy-save -c` and `ip6tables-legacy-save -c` */
  legacySave?: Partial<Record<Family, string>>;
  /** Dormant or not, by `FAMILY TABLE`, for tables whose flags nft's JSON leaves in doubt. */
  dormant?: Record<string, boolean>;
}

const FAMILIES: Family[] = ['ipv4', 'ipv6'];

/**
 * nft's JSON is the ground for everything that nftables holds: iptables-nft-save leaves out of a rule what it does
 * not know (`ip saddr { 192.0.2.1, 192.0.2.2 } accept` is printed as `-j ACCEPT` by 1.8.9). Only for the iptables
 * extensions that nft prints as opaque `xt` does the same rule in iptables-nft-save tell more.
 * @returns every table that an arriving packet can meet
 * @throws SyntaxError if nft's text is no JSON
 */
export function parseRuleset(printed: Printed): Ruleset {
  const tables = printed.nft ? parseNft(printed.nft) : [];
  for (const table of tables) {
    table.dormant = printed.dormant?.[`${table.family} ${table.name}`] ?? table.dormant;
  }
  for (const family of FAMILIES) explain(tables, parseSave(printed.nftSave?.[family] ?? '', 'nft', family));
  return [...tables, ...FAMILIES.flatMap((family) => parseSave(printed.legacySave?.[family] ?? '', 'legacy', family))];
}

function explain(tables: Table[], saved: Table[]): void {
  for (const table of saved) {
    const same = tables.find(({ family, name }) => family === table.family && name === table.name);
    for (const chain of same?.chains.values() ?? []) explainChain(chain, table.chains.get(chain.name));
  }
}

/** The n-th rule of a chain is the n-th in both; where the counts differ, neither is trusted for the other. */
function explainChain(chain: Chain, saved: Chain | undefined): void {
  if (saved?.rules.length !== chain.rules.length) return;
  chain.rules.forEach((rule, i) => {
    const other = saved.rules[i];
    if (other && (rule as NftRule).opaque) mergeRule(rule, other);
  });
}

/**
 * What nft understood stays, and the conditions of both must hold. The opaque matches and targets give way to
 * iptables' own.
 */
function mergeRule(rule: Rule, saved: Rule): void {
  const understood = rule.steps.filter((step) => !isOpaque(step));
  const hidden = rule.steps.some((step) => 'act' in step && isOpaque(step));
  const isCondition = (step: Step) => 'when' in step;
  rule.text = saved.text;
  rule.steps = [
    ...understood.filter(isCondition),
    ...saved.steps.filter(isCondition),
    ...understood.filter((step) => !isCondition(step)),
    ...(hidden ? saved.steps.filter((step) => !isCondition(step)) : []),
  ];
}

function isOpaque(step: Step): boolean {
  if ('when' in step) return 'constant' in step.when && step.when.text.startsWith('xt match');
  return 'act' in step && step.act.do === 'unknown' && step.act.text.startsWith('xt target');
}
