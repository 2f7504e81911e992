// iptables-save text to tables. Format: ip(6)tables-save(8); builtin chains and priorities:
// include/uapi/linux/netfilter_ipv4.h and the table modules in net/ipv4/netfilter.
import { type ParsedRule, parseRule } from './iptables-rule.ts';
import type { Chain, Family, Hook, Rule, Table } from './model.ts';
import { splitLines } from './save-text.ts';

/** A rule of iptables-save, with the name of its target. */
export type SavedRule = Rule & Pick<ParsedRule, 'target'>;

const PRIORITY: Record<string, number> = { raw: -300, mangle: -150, nat: -100, filter: 0, security: 50 };
const HOOK_OF: Record<string, Hook['name']> = { PREROUTING: 'prerouting', INPUT: 'input' };

/**
 * Parses what iptables-save or ip6tables-save printed, with or without counters (-c).
 * @returns its tables; a line that is no table, chain, rule or comment makes all of its table's chains "unknown"
 */
export function parseSave(text: string, backend: Table['backend'], family: Family): Table[] {
  const tables: Table[] = [];
  let table: Table | undefined;
  for (const line of splitLines(text)) {
    if (line.startsWith('#') || line === 'COMMIT') continue;
    if (line.startsWith('*') || !table) {
      table = newTable(line.startsWith('*') ? line.slice(1) : 'filter', backend, family);
      tables.push(table);
    }
    if (line.startsWith(':')) addChain(table, line.slice(1));
    else if (!line.startsWith('*')) addRule(table, line);
  }
  return tables;
}

function newTable(name: string, backend: Table['backend'], family: Family): Table {
  return { backend, family: family === 'ipv4' ? 'ip' : 'ip6', name, dormant: false, chains: new Map() };
}

/** `NAME POLICY [packets:bytes]`; the policy of a user chain is `-`, and its name may be that of another hook. */
function addChain(table: Table, line: string): void {
  const [name = '', policy = '-'] = line.split(' ');
  const chain: Chain = { name, policy: policy === 'DROP' ? 'drop' : 'accept', rules: [] };
  const hook = HOOK_OF[name];
  const priority = PRIORITY[table.name];
  if (hook && priority !== undefined && policy !== '-') {
    chain.hook = { name: hook, priority, nat: table.name === 'nat' };
  }
  table.chains.set(name, chain);
}

function addRule(table: Table, line: string): void {
  const [, packets, bytes, text = line] = line.match(/^\[(\d+):(\d+)\] ([\s\S]*)$/) ?? [];
  const [, name = '', body = ''] = text.match(/^-A (\S+)(?: ([\s\S]*))?$/) ?? [];
  const chain = table.chains.get(name);
  if (!chain) {
    addUnreadable(table, text);
    return;
  }
  const rule: SavedRule = { text, ...parseRule(body, (target) => isUserChain(table, target)) };
  chain.rules.push(packets === undefined ? rule : { ...rule, packets: Number(packets), bytes: Number(bytes) });
}

function isUserChain(table: Table, name: string): boolean {
  const chain = table.chains.get(name);
  return chain !== undefined && chain.hook === undefined;
}

/** Where the line belongs is as unknown as what it means. */
function addUnreadable(table: Table, text: string): void {
  const rule: Rule = { text, steps: [{ act: { do: 'unknown', text: 'a line that is no rule' } }] };
  for (const name of Object.keys(HOOK_OF)) {
    if (!table.chains.has(name)) addChain(table, `${name} ACCEPT`);
    table.chains.get(name)?.rules.unshift(rule);
  }
}
