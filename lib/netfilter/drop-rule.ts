// The rule itself, how to find it in a ruleset, and whose a rule is.
import type { Protocol } from '../contract.ts';
import { parseOptions } from './iptables-save.ts';
import {
  type Backend,
  type IptablesOption,
  type RuleLocation,
  type Ruleset,
  type Table,
  tableFamilyOf,
  tableName,
} from './model.ts';
import type { Family } from './packet.ts';

/** Of our own rule, in reports. */
export const OWNER = 'invalid-drop';
export const TABLE = 'mangle';
export const CHAIN = 'PREROUTING';

/** The rule without `-A CHAIN`. `all` is what istio-iptables up to 1.23 adds. */
export const RULE: Record<Protocol, string> = {
  tcp: '-p tcp -m conntrack --ctstate INVALID -j DROP',
  all: '-m conntrack --ctstate INVALID -j DROP',
};

const PARSED = { tcp: JSON.stringify(parseOptions(RULE.tcp)), all: JSON.stringify(parseOptions(RULE.all)) };

/** Whether a rule is the one that we put in, as iptables-save prints it. */
export function isRule(options: IptablesOption[] | undefined, protocol: Protocol): boolean {
  return options !== undefined && JSON.stringify(options) === PARSED[protocol];
}

/** The table that iptables keeps the rule in. */
export function findMangle(ruleset: Ruleset, family: Family, backend: Backend): Table | undefined {
  const name = tableName({ family: tableFamilyOf(family), name: TABLE });
  return ruleset.find((table) => table.backend === backend && tableName(table) === name);
}

/** Input for `iptables-restore --noflush`: edits of mangle as one transaction. */
export function restoreInput(edits: string[]): string {
  return [`*${TABLE}`, ...edits, 'COMMIT', ''].join('\n');
}

/** Where our rule stands in its chain: 1-based positions, in the order of the chain. */
export function positionsOf(ruleset: Ruleset, family: Family, backend: Backend, protocol: Protocol): number[] {
  const rules = findMangle(ruleset, family, backend)?.chains.get(CHAIN)?.rules ?? [];
  return rules.flatMap(({ options }, i) => (isRule(options, protocol) ? [i + 1] : []));
}

/** The name of the nft table, one for each family, that holds the rule where mangle cannot take it. */
const OWN_TABLE = 'invalid-drop';
/** After conntrack (-200) and the exemption (-190), before mangle (-150). */
const OWN_PRIORITY = -151;
const NATIVE_RULE: Record<Protocol, string> = {
  tcp: 'meta l4proto tcp ct state invalid counter drop',
  all: 'ct state invalid counter drop',
};

/** Our nft table for the family, if it is there. */
export function findOwnTable(ruleset: Ruleset, family: Family): Table | undefined {
  const name = tableName({ family: tableFamilyOf(family), name: OWN_TABLE });
  return ruleset.find((table) => table.backend === 'nft' && tableName(table) === name);
}

/** Commands for nft: our table with the rule, in place of one that is there. */
export function ownTableInput(family: Family, protocol: Protocol): string {
  const table = tableName({ family: tableFamilyOf(family), name: OWN_TABLE });
  const hook = `type filter hook prerouting priority ${OWN_PRIORITY}; policy accept;`;
  return `${removeOwnTable(family)}table ${table} {\nchain prerouting {\n${hook}\n${NATIVE_RULE[protocol]}\n}\n}\n`;
}

/** Commands for nft: takes our table out, if it is there. */
export function removeOwnTable(family: Family): string {
  const table = tableName({ family: tableFamilyOf(family), name: OWN_TABLE });
  return `add table ${table}\ndelete table ${table}\n`;
}

/** What the comments of Kuma's rules begin with (pkg/transparentproxy/consts/consts.go, Kuma 2.14.3). */
const KUMA_COMMENT = 'kuma/mesh/transparent/proxy';

/**
 * Whose rule it is that drops, in words for a report. Forms of Istio's INVALID_DROP: up to 1.23 the rule without
 * `-p tcp`, from 1.24 a jump to ISTIO_DROP, native nftables from 1.28. Kuma's is the first of these with a comment.
 */
export function ownerOf({ table, chain, rule }: RuleLocation): string {
  if (chain.name === 'ISTIO_DROP') return 'istio (INVALID_DROP, 1.24 or later)';
  if (tableName(table) === 'inet istio-proxy-mangle') return 'istio (INVALID_DROP, native nftables)';
  if (table.backend === 'nft' && table.name === OWN_TABLE && table.family !== 'inet') return OWNER;
  if (chain.name !== CHAIN) return 'another program';
  if (commentOf(rule?.options)?.startsWith(KUMA_COMMENT)) return 'kuma (dropInvalidPackets)';
  if (isRule(rule?.options, 'all')) return 'istio (INVALID_DROP, up to 1.23) or invalid-drop with protocol=all';
  return isRule(rule?.options, 'tcp') ? OWNER : 'another program';
}

function commentOf(options: IptablesOption[] | undefined): string | undefined {
  return options?.find(({ flag }) => flag === '--comment')?.values[0];
}

/** A rule, or a chain's policy, as a report names it. */
export interface RuleReference {
  backend: Backend;
  /** Family and name, such as `ip mangle`. */
  table: string;
  chain: string;
  rule: string;
  /** Its counters, where it has any. */
  packets?: number;
  bytes?: number;
  owner: string;
}

export function referTo(location: RuleLocation): RuleReference {
  const { table, chain, rule } = location;
  const counters = rule?.packets === undefined ? {} : { packets: rule.packets, bytes: rule.bytes ?? 0 };
  const place = { backend: table.backend, table: tableName(table), chain: chain.name };
  return { ...place, rule: rule?.text ?? `policy ${chain.policy}`, ...counters, owner: ownerOf(location) };
}

/** Identifies a rule, or a chain's policy, in a network namespace: the same rule has it in every snapshot. */
export function identityOf({ table, chain, rule }: RuleLocation): string {
  return JSON.stringify([table.backend, tableName(table), chain.name, rule?.id ?? null]);
}
