// iptables extensions in nft rules: nft knows no more than their names, iptables-nft-save prints them in full.
import type { SavedRule } from './iptables-save.ts';
import type { Chain, Step, Table } from './model.ts';
import { nameExtensions } from './nameless.ts';
import type { NftRule } from './nft-json.ts';

/** Names that iptables-save prints for an extension that the kernel knows by another. */
const ALIASES: Record<string, string> = { state: 'conntrack', NOTRACK: 'CT' };

/** Puts into the tables' rules what the save texts tell about their extensions. */
export function explain(tables: Table[], saved: Table[]): void {
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
    if (!other || (rule as NftRule).opaque.length === 0) return;
    nameExtensions(rule as NftRule, other);
    explainRule(rule as NftRule, other);
  });
}

/**
 * What nft understood stays as it is: the save text counts only for the extensions that nft names. One that the save
 * text does not name stays "maybe", or "unknown".
 */
function explainRule(rule: NftRule, saved: SavedRule): void {
  rule.text = saved.text;
  rule.steps = rule.steps.flatMap((step): Step[] => {
    const { type, name } = rule.opaque.find((one) => textOf(step) === `xt ${one.type} ${one.name}`) ?? {};
    if (type === 'match') {
      const told = saved.steps.filter(
        (other) => 'when' in other && moduleOf(other.when.text) === kernelName(name ?? ''),
      );
      return told.length > 0 ? told : [step];
    }
    const isTold =
      type === 'target' && saved.target !== undefined && kernelName(saved.target) === kernelName(name ?? '');
    return isTold ? saved.steps.filter((other) => 'act' in other) : [step];
  });
}

/** The text of a step that may stand for an extension. */
function textOf(step: Step): string | undefined {
  if ('when' in step) return 'constant' in step.when ? step.when.text : undefined;
  return 'act' in step && step.act.do === 'unknown' ? step.act.text : undefined;
}

function moduleOf(text: string): string | undefined {
  return kernelName(text.match(/^-m (\S+)/)?.[1] ?? '');
}

function kernelName(name: string): string {
  return ALIASES[name] ?? name;
}
