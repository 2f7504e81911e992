// `nft -j list ruleset` to tables. Format: libnftables-json(5).
import { type Chain, HOOKS, type Hook, type Rule, type Table } from './model.ts';
import { collectSets, type NftSets, tableKey } from './nft-sets.ts';
import { parseStatement } from './nft-statement.ts';
import { describe, type Item, type Json, toItem } from './nft-text.ts';

/** A rule, and the iptables extensions in it that nft cannot print: it calls them `xt`. */
export interface NftRule extends Rule {
  opaque: { type: string; name: string }[];
}

/**
 * @param text JSON that nft printed
 * @returns the tables that an arriving IP packet can meet (ip, ip6, inet, netdev). A table with other flags
 *   than "dormant" is "maybe" dormant: nft 1.0.6 prints another word in its place, such as the table's name or family.
 * @throws SyntaxError if the text is no JSON of nft
 */
export function parseNft(text: string): Table[] {
  const items = toItem(JSON.parse(text))['nftables'];
  if (!Array.isArray(items)) throw new SyntaxError('no member "nftables"');
  const list = items.map(toItem);
  const tables = new Map<string, Table>();
  const sets = collectSets(list);
  for (const { table, chain, rule } of list) {
    if (table) addTable(tables, toItem(table));
    if (chain) addChain(tables, toItem(chain));
    if (rule) addRule(tables, toItem(rule), sets);
  }
  return [...tables.values()];
}

function addTable(tables: Map<string, Table>, item: Item): void {
  const family = item['family'] as Table['family'];
  if (!['ip', 'ip6', 'inet', 'netdev'].includes(family)) return;
  const name = String(item['name']);
  const dormant = isDormant(item['flags'], name);
  tables.set(`${family} ${name}`, { backend: 'nft', family, name, dormant, chains: new Map() });
}

/** Only the word `dormant` is sure, and not where it may be the table's name: see parseNft. */
function isDormant(flags: Json | undefined, table: string): Table['dormant'] {
  if (flags === undefined) return false;
  return [flags].flat().includes('dormant') && table !== 'dormant' ? true : 'maybe';
}

function addChain(tables: Map<string, Table>, item: Item): void {
  const name = String(item['name']);
  const chain: Chain = { name, policy: item['policy'] === 'drop' ? 'drop' : 'accept', rules: [] };
  const hook = HOOKS.find((known) => known === item['hook']);
  if (hook) chain.hook = toHook(hook, item);
  tables.get(tableKey(item))?.chains.set(name, chain);
}

function toHook(name: Hook['name'], item: Item): Hook {
  const hook: Hook = { name, priority: Number(item['prio']), nat: item['type'] === 'nat' };
  if (item['dev'] !== undefined) hook.devices = [item['dev']].flat().map(String);
  return hook;
}

function addRule(tables: Map<string, Table>, item: Item, sets: NftSets): void {
  const scope = tableKey(item);
  const chain = tables.get(scope)?.chains.get(String(item['chain']));
  if (!chain) return;
  const statements = [item['expr'] ?? []].flat();
  const rule: NftRule = {
    text: statements.map(describe).join(' '),
    steps: statements.flatMap((statement) => parseStatement(statement, { sets, scope })),
    opaque: statements.flatMap((statement) => toOpaque(toItem(statement))),
  };
  const counter = toItem(statements.map(toItem).find((statement) => statement['counter'])?.['counter']);
  if (counter['packets'] !== undefined) {
    rule.packets = Number(counter['packets']);
    rule.bytes = Number(counter['bytes'] ?? 0);
  }
  chain.rules.push(rule);
}

function toOpaque(statement: Item): NftRule['opaque'] {
  if (!('xt' in statement)) return [];
  const { type, name } = toItem(statement['xt']);
  return [{ type: String(type), name: String(name) }];
}
