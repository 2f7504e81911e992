// Random tables for iptables-restore: those that an arriving packet passes.
import type { Family } from '../../../lib/netfilter/packet.ts';
import { randomRule } from './iptables-parts.ts';
import type { Prng } from './prng.ts';

export type TableName = 'raw' | 'mangle' | 'nat' | 'filter' | 'security';

const BASE: Record<TableName, string[]> = {
  raw: ['PREROUTING'],
  mangle: ['PREROUTING', 'INPUT'],
  nat: ['PREROUTING'],
  filter: ['INPUT'],
  security: ['INPUT'],
};
const FREQUENCY: Record<TableName, number> = { raw: 0.3, mangle: 0.9, nat: 0.2, filter: 0.4, security: 0.1 };
/** A user chain may have the name of an extension, or of a hook that its table does not have. */
const USER_CHAINS = ['ONE', 'TWO', 'LOG'];

/** Input for `iptables-restore`: a few tables with user chains, jumps, gotos, policies. */
export function randomIptables(random: Prng, family: Family): string {
  const tables = (Object.keys(BASE) as TableName[]).filter((table) => random.chance(FREQUENCY[table]));
  return tables.map((table) => randomTable(random, family, table)).join('');
}

function randomTable(random: Prng, family: Family, table: TableName): string {
  const users = table === 'raw' ? [...USER_CHAINS, 'INPUT'] : USER_CHAINS;
  const rules = (chain: string, jumps: string[], most: number) =>
    random.some(0, most, () => `-A ${chain} ${randomRule(random, family, table, jumps)}`);
  return [
    `*${table}`,
    ...BASE[table].map((chain) => `:${chain} ${table !== 'nat' && random.chance(0.04) ? 'DROP' : 'ACCEPT'} [0:0]`),
    ...users.map((chain) => `:${chain} - [0:0]`),
    // Jumps only go to later chains: the kernel refuses loops.
    ...users.flatMap((chain, i) => rules(chain, users.slice(i + 1), 3)),
    ...BASE[table].flatMap((chain) => rules(chain, users, 5)),
    'COMMIT',
    '',
  ].join('\n');
}
