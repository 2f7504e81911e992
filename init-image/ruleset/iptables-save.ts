// iptables-save text to tables. Format: ip(6)tables-save(8); builtin chains and priorities:
// include/uapi/linux/netfilter_ipv4.h and the table modules in net/ipv4/netfilter.
import { parseRule } from './iptables-rule.ts';
import type { Chain, Family, Hook, Table } from './model.ts';

const PRIORITY: Record<string, number> = { raw: -300, mangle: -150, nat: -100, filter: 0, security: 50 };
const HOOK_OF: Record<string, Hook['name']> = { PREROUTING: 'prerouting', INPUT: 'input' };

/**
 * Parses what iptables-save or ip6tables-save printed, with or without counters (-c).
 * @returns its tables; lines that are no table, chain, rule or comment are rules nobody knows, and so "unknown"
 */
export function parseSave(text: string, backend: Table['backend'], family: Family): Table[] {
  const tables: Table[] = [];
  let table: Table | undefined;
  for (const line of text.split('\n').map((line) => line.trim())) {
    if (line === '' || line.startsWith('#') || line === 'COMMIT') continue;
    if (line.startsWith('*')) {
      table = newTable(line.slice(1), backend, family);
      tables.push(table);
    } else if (table && line.startsWith(':')) {
      const [name = '', policy = ''] = line.slice(1).split(' ');
      chainOf(table, name).policy = policy === 'DROP' ? 'drop' : 'accept';
    } else if (table) {
      addRule(table, line);
    }
  }
  return tables;
}

function newTable(name: string, backend: Table['backend'], family: Family): Table {
  return { backend, family: family === 'ipv4' ? 'ip' : 'ip6', name, dormant: false, chains: new Map() };
}

function addRule(table: Table, line: string): void {
  const [, packets, bytes, rest = line] = line.match(/^\[(\d+):(\d+)\] (.*)$/) ?? [];
  const [, chain = 'PREROUTING', body = ''] = rest.match(/^-A (\S+)(?: (.*))?$/) ?? [];
  const rule = { text: rest, steps: parseRule(rest.startsWith('-A ') ? body : '-m unreadable -j unreadable') };
  const counter = packets === undefined ? {} : { packets: Number(packets), bytes: Number(bytes) };
  chainOf(table, chain).rules.push({ ...rule, ...counter });
}

function chainOf(table: Table, name: string): Chain {
  const known = table.chains.get(name);
  if (known) return known;
  const chain: Chain = { name, policy: 'accept', rules: [] };
  const hook = HOOK_OF[name];
  const priority = PRIORITY[table.name];
  if (hook && priority !== undefined) chain.hook = { name: hook, priority, nat: table.name === 'nat' };
  table.chains.set(name, chain);
  return chain;
}
