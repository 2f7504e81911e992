// `nft -j list ruleset` to tables. Format: libnftables-json(5).
import { type Chain, HOOKS, type Hook, type Rule, type Table } from './model.ts';
import { describe, type Json, parseStatement } from './nft-statement.ts';
import type { NftSets } from './nft-value.ts';

type Item = Record<string, Json>;

/** A rule, and whether nft could not print all of it (`xt`: an iptables extension inside an nft rule). */
export interface NftRule extends Rule {
  opaque: boolean;
}

/**
 * @param text JSON that nft printed
 * @returns the tables that an arriving IP packet can meet (ip, ip6, inet, netdev). A table with flags is "maybe"
 *   dormant: nft before 1.0.7 prints the table's own name in the place of the flag.
 * @throws SyntaxError if the text is no JSON
 */
export function parseNft(text: string): Table[] {
  const items = (JSON.parse(text) as { nftables?: Item[] }).nftables ?? [];
  const tables = new Map<string, Table>();
  const sets = collectSets(items);
  for (const item of items) {
    const [kind, value] = Object.entries(item)[0] ?? [];
    if (kind === 'table') addTable(tables, value as Item);
    if (kind === 'chain') addChain(tables, value as Item);
    if (kind === 'rule') addRule(tables, value as Item, sets);
  }
  return [...tables.values()];
}

/** Key of a table or of what is in it. */
function keyOf(item: Item, table: Json): string {
  return `${item['family']} ${table}`;
}

function collectSets(items: Item[]): NftSets {
  const sets: NftSets = new Map();
  for (const item of items) {
    const set = (item['set'] ?? item['map']) as Item | undefined;
    if (set) sets.set(`${keyOf(set, set['table'] ?? '')} ${set['name']}`, set);
  }
  return sets;
}

function addTable(tables: Map<string, Table>, item: Item): void {
  const family = item['family'] as Table['family'];
  if (!['ip', 'ip6', 'inet', 'netdev'].includes(family)) return;
  const name = String(item['name']);
  const dormant = isDormant(item['flags'], name);
  tables.set(keyOf(item, name), { backend: 'nft', family, name, dormant, chains: new Map() });
}

function isDormant(flags: Json | undefined, table: string): Table['dormant'] {
  if (flags === undefined) return false;
  const list = [flags].flat();
  if (list.includes('dormant')) return true;
  return list.includes(table) ? 'maybe' : false;
}

function addChain(tables: Map<string, Table>, item: Item): void {
  const name = String(item['name']);
  const chain: Chain = { name, policy: item['policy'] === 'drop' ? 'drop' : 'accept', rules: [] };
  const hook = HOOKS.find((known) => known === item['hook']);
  if (hook) chain.hook = toHook(hook, item);
  tables.get(keyOf(item, item['table'] ?? ''))?.chains.set(name, chain);
}

function toHook(name: Hook['name'], item: Item): Hook {
  const hook: Hook = { name, priority: Number(item['prio']), nat: item['type'] === 'nat' };
  if (item['dev'] !== undefined) hook.devices = [item['dev']].flat().map(String);
  return hook;
}

function addRule(tables: Map<string, Table>, item: Item, sets: NftSets): void {
  const chain = tables.get(keyOf(item, item['table'] ?? ''))?.chains.get(String(item['chain']));
  if (!chain) return;
  const statements = (item['expr'] ?? []) as Item[];
  const scope = keyOf(item, item['table'] ?? '');
  const rule: NftRule = {
    text: statements.map(describe).join(' '),
    steps: statements.flatMap((statement) => parseStatement(statement, { sets, scope })),
    opaque: statements.some((statement) => 'xt' in statement),
  };
  const counter = statements.find((statement) => statement['counter'] !== undefined)?.['counter'] as Item | undefined;
  if (counter && typeof counter === 'object') {
    rule.packets = Number(counter['packets'] ?? 0);
    rule.bytes = Number(counter['bytes'] ?? 0);
  }
  chain.rules.push(rule);
}
