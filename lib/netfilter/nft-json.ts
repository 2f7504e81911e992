// nft's listings to tables: `nft -j list ruleset` (libnftables-json(5)), and what only nft's text form tells.
import { type BaseChainHook, type Chain, HOOKS, type Rule, type Ruleset, type Table, tableName } from './model.ts';
import { describe, type Json, type JsonItem, type NftSets, toItem } from './nft-expression.ts';
import { EXEMPTION_TABLE, parseStatement } from './nft-statement.ts';

/**
 * @param text JSON that nft printed
 * @param setListings listings of the sets whose elements the text leaves out; undefined where it leaves out none
 * @returns the tables that an arriving IP packet can meet (ip, ip6, inet, netdev). A table with other flags
 *   than "dormant" is "maybe" dormant: nft 1.0.6 prints another word in its place, such as the table's name or family.
 * @throws SyntaxError if the text is no JSON of nft
 */
export function parseNft(text: string, setListings?: string[]): Table[] {
  const tables = new Map<string, Table>();
  const sets = collectSets(text, setListings);
  for (const { table, chain, rule } of parseItems(text)) {
    if (table) addTable(tables, toItem(table));
    if (chain) addChain(tables, toItem(chain));
    if (rule) addRule(tables, toItem(rule), sets);
  }
  return [...tables.values()];
}

/** What ends or nests a value: strings hold any of these characters. */
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\]]/g;
const START = /^\s*\{\s*"nftables"\s*:\s*\[/;

/**
 * The members of the array `nftables`, as they are printed. Each is parsed alone: of a large ruleset the values of all
 * together take twenty times the text.
 */
export function* splitItems(text: string): Generator<string> {
  const start = START.exec(text)?.[0].length;
  if (start === undefined) throw new SyntaxError('no member "nftables"');
  let depth = 0;
  let from = start;
  const tokens = new RegExp(TOKEN);
  tokens.lastIndex = start;
  for (let token = tokens.exec(text); token; token = tokens.exec(text)) {
    const [{ length }] = token;
    const character = length === 1 ? token[0] : '';
    if (character === '{' || character === '[') {
      if (depth++ === 0) from = token.index;
    } else if (character !== '') {
      if (depth === 0) return;
      if (--depth === 0) yield text.slice(from, tokens.lastIndex);
    }
  }
  throw new SyntaxError('the array "nftables" does not end');
}

function* parseItems(text: string): Generator<JsonItem> {
  for (const item of splitItems(text)) yield toItem(JSON.parse(item));
}

/** More sets are not listed: their elements stay unknown. */
const MAX_LISTED = 20;
/** An item that is a set or map. */
const SET = /^\{\s*"(set|map)"/;
/** Programs that are run for them take the names as words. */
const WORD = /^[\w./-]+$/;

/**
 * Which listings tell the elements that a verdict needs, of a listing without elements (`nft -t`). Sets of addresses
 * are left out: there may be hundreds of thousands, and of a packet that any host may send they decide nothing.
 * @returns arguments for `nft -j list`, such as `table inet t` or `set ip t ports`
 */
export function neededListings(listing: string): string[][] {
  // Most rulesets have no sets but ours, and some have none.
  if (!/"(set|map)": ?\{"family"/.test(listing)) return [];
  const used = new Set<string>();
  for (const text of splitItems(listing)) {
    if (!text.includes('"@')) continue;
    const rule = toItem(toItem(JSON.parse(text))['rule']);
    for (const [, name] of text.matchAll(/"@([^"]+)"/g)) used.add(`${scopeOf(rule)} ${name}`);
  }
  const needed: string[][] = [];
  for (const text of splitItems(listing)) {
    if (!SET.test(text)) continue;
    const item = toItem(JSON.parse(text));
    const set = toItem(item['set'] ?? item['map']);
    const words = [item['set'] ? 'set' : 'map', set['family'], set['table'], set['name']].map(String);
    const isUsed = used.has(`${scopeOf(set)} ${set['name']}`);
    if (set['elem'] !== undefined || !isUsed || !words.every((word) => WORD.test(word))) continue;
    if (scopeOf(set) === EXEMPTION_TABLE) needed.push(['table', ...EXEMPTION_TABLE.split(' ')]);
    else if (!isOfAddresses(set['type'])) needed.push(words);
  }
  return [...new Map(needed.map((words) => [words.join(' '), words])).values()].slice(0, MAX_LISTED);
}

/** An array is a concatenation, and an object a type that nft writes as an expression. */
function isOfAddresses(type: Json | undefined): boolean {
  return typeof type !== 'string' || type.includes('addr');
}

/** Identity of the table that a chain, rule or set belongs to. */
function scopeOf(item: JsonItem): string {
  return `${item['family']} ${item['table']}`;
}

function addTable(tables: Map<string, Table>, item: JsonItem): void {
  const family = item['family'] as Table['family'];
  if (!['ip', 'ip6', 'inet', 'netdev'].includes(family)) return;
  const name = String(item['name']);
  const dormant = isDormant(item['flags'], name);
  tables.set(tableName({ family, name }), { backend: 'nft', family, name, dormant, chains: new Map() });
}

/** Only the word `dormant` is sure, and not where it may be the table's name: see parseNft. */
function isDormant(flags: Json | undefined, table: string): Table['dormant'] {
  if (flags === undefined) return false;
  return [flags].flat().includes('dormant') && table !== 'dormant' ? true : 'maybe';
}

function addChain(tables: Map<string, Table>, item: JsonItem): void {
  const name = String(item['name']);
  const chain: Chain = { name, policy: item['policy'] === 'drop' ? 'drop' : 'accept', rules: [] };
  const hook = HOOKS.find((known) => known === item['hook']);
  if (hook) chain.hook = toHook(hook, item);
  tables.get(scopeOf(item))?.chains.set(name, chain);
}

function toHook(name: BaseChainHook['name'], item: JsonItem): BaseChainHook {
  const hook: BaseChainHook = { name, priority: Number(item['prio']), nat: item['type'] === 'nat' };
  if (item['dev'] !== undefined) hook.devices = [item['dev']].flat().map(String);
  return hook;
}

function addRule(tables: Map<string, Table>, item: JsonItem, sets: NftSets): void {
  const table = scopeOf(item);
  const chain = tables.get(table)?.chains.get(String(item['chain']));
  if (!chain) return;
  const statements = [item['expr'] ?? []].flat();
  const rule: Rule = {
    text: statements.map(describe).join(' '),
    id: String(item['handle'] ?? chain.rules.length),
    steps: statements.flatMap((statement) => parseStatement(statement, { sets, table })),
  };
  chain.rules.push({ ...rule, ...countersOf(statements) });
}

/** Of the rule's first counter; none where it has none. */
function countersOf(statements: Json[]): Pick<Rule, 'packets' | 'bytes'> {
  const counter = toItem(statements.map(toItem).find((statement) => statement['counter'])?.['counter']);
  if (counter['packets'] === undefined) return {};
  return { packets: Number(counter['packets']), bytes: Number(counter['bytes'] ?? 0) };
}

/**
 * The ruleset with the counters of a listing that differs in nothing else: beside Istio's rules this takes a millisecond,
 * and parsing again 15 and megabytes of values.
 * @param listing JSON that nft printed
 * @returns rules and chains of which no counter has moved are the same objects
 * @throws SyntaxError if the listing is no JSON of nft
 */
export function withCountersOf(ruleset: Ruleset, listing: string): Ruleset {
  const counters = new Map<string, Pick<Rule, 'packets' | 'bytes'>>();
  for (const item of [toItem(JSON.parse(listing))['nftables'] ?? []].flat()) {
    const rule = toItem(toItem(item)['rule']);
    if (rule['handle'] === undefined) continue;
    const place = `${scopeOf(rule)} ${rule['chain']} ${rule['handle']}`;
    counters.set(place, countersOf([rule['expr'] ?? []].flat()));
  }
  return ruleset.map((table) => {
    const chains = [...table.chains.values()].map((chain) => {
      const rules = chain.rules.map((rule) => {
        const now = counters.get(`${tableName(table)} ${chain.name} ${rule.id}`);
        return now?.packets === rule.packets && now?.bytes === rule.bytes ? rule : { ...rule, ...now };
      });
      return rules.every((rule, i) => rule === chain.rules[i]) ? chain : { ...chain, rules };
    });
    return { ...table, chains: new Map(chains.map((chain) => [chain.name, chain])) };
  });
}

function collectSets(listing: string, setListings?: string[]): NftSets {
  const sets: NftSets = new Map();
  const add = (item: JsonItem, isListed: boolean) => {
    const set = toItem(item['set'] ?? item['map']);
    const unlisted = setListings !== undefined && set['elem'] === undefined && !isListed;
    if (set['name'] !== undefined) sets.set(`${scopeOf(set)} ${set['name']}`, unlisted ? { ...set, unlisted } : set);
  };
  for (const text of splitItems(listing)) if (SET.test(text)) add(toItem(JSON.parse(text)), false);
  for (const text of setListings ?? []) for (const item of parseItems(text)) add(item, true);
  for (const text of splitItems(listing)) {
    if (!UPDATE.test(text)) continue;
    const rule = toItem(toItem(JSON.parse(text))['rule']);
    for (const name of updatedSets(rule)) {
      const key = `${scopeOf(rule)} ${name}`;
      sets.set(key, { ...sets.get(key), flags: ['dynamic'] });
    }
  }
  return sets;
}

/** What a statement that updates a set or map begins with. */
const UPDATE = /"(set|map)":/;

/** Sets that the rule adds packets' values to: the kernel allows it for some that lack the flag `dynamic`. */
function updatedSets(rule: JsonItem): string[] {
  return [rule['expr'] ?? []].flat().flatMap((statement) => {
    const { set, map } = toItem(statement);
    const name = toItem(set)['set'] ?? toItem(map)['map'];
    return typeof name === 'string' ? [name.replace(/^@/, '')] : [];
  });
}

/** A chain, as nft prints it. */
const CHAIN_ITEM = /^\{\s*"chain"/;
/** `forward` is one for SYNPROXY, which is valid there too (nft_synproxy_do_init, net/netfilter/nft_synproxy.c). */
const HOOKS_OF_ARRIVAL = new Set<unknown>(['ingress', 'prerouting', 'input', 'forward']);

/**
 * Whether arriving packets without a connection meet the chain as a base chain. They pass by those of type nat in prerouting
 * (nf_nat_inet_fn, net/netfilter/nf_nat_core.c).
 */
export function isMetOnArrival({ hook, type }: JsonItem): boolean {
  return HOOKS_OF_ARRIVAL.has(hook) && !(type === 'nat' && hook === 'prerouting');
}

/**
 * Chains with xt compat expressions, as `FAMILY TABLE CHAIN`.
 * @param complete whether those of tables are wanted too that have no base chain which a verdict depends on
 */
export function chainsWithXt(listing: string, complete: boolean): Set<string> {
  const chains = new Set<string>();
  // Most rulesets of pods have none, and the other kind is in nat alone.
  if (!listing.includes('"xt"')) return chains;
  const met = new Set<string>();
  for (const text of complete ? [] : splitItems(listing)) {
    if (!CHAIN_ITEM.test(text)) continue;
    const chain = toItem(toItem(JSON.parse(text))['chain']);
    if (isMetOnArrival(chain)) met.add(scopeOf(chain));
  }
  for (const text of splitItems(listing)) {
    if (!text.includes('"xt"')) continue;
    const rule = toItem(toItem(JSON.parse(text))['rule']);
    if (complete || met.has(scopeOf(rule))) chains.add(`${scopeOf(rule)} ${rule['chain']}`);
  }
  return chains;
}

/** What only nft's text form tells of a table: nft 1.0.6 prints neither in JSON. */
export interface TableText {
  dormant: boolean;
  /** Devices of ingress chains, by the chain's name. */
  devices: Record<string, string[]>;
}

const CHAIN = /^\tchain (\S+) \{\n\t\ttype [^\n]*/gm;

/** @param text what `nft -t list table FAMILY NAME` printed */
export function parseTableText(text: string): TableText {
  const chains = [...text.matchAll(CHAIN)].flatMap(([type, name = '']) => {
    const list = type.match(/ devices = \{([^}]*)\}/)?.[1] ?? type.match(/ device (\S+)/)?.[1];
    return list === undefined ? [] : [[name, list.split(',').map((device) => device.trim().replace(/^"|"$/g, ''))]];
  });
  return { dormant: /^\tflags [^;\n]*\bdormant\b/m.test(text), devices: Object.fromEntries(chains) };
}
