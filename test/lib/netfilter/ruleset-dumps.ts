// Rulesets as the tools print them, for tests of the parser and the verdict.

import { type RuleReference, referTo } from '../../../lib/netfilter/drop-rule.ts';
import type { RuleLocation } from '../../../lib/netfilter/model.ts';
import type { Json } from '../../../lib/netfilter/nft-expression.ts';
import type { Packet } from '../../../lib/netfilter/packet.ts';
import { parseRuleset, type RulesetDump } from '../../../lib/netfilter/ruleset.ts';
import { judge } from '../../../lib/netfilter/verdict.ts';

export const IPV4: Packet = { ctstate: 'invalid', family: 'ipv4', iif: 'eth0' };
export const IPV6: Packet = { ctstate: 'invalid', family: 'ipv6', iif: 'eth0' };
/** A packet of which everything is known. */
export const KNOWN: Packet = {
  ...{ ctstate: 'invalid', family: 'ipv4', iif: 'eth0', mark: 0, source: '10.77.0.1', destination: '10.77.0.2' },
  ...{ sourcePort: 40_000, destinationPort: 9000, flags: 0x12 },
};
export const KNOWN6: Packet = { ...KNOWN, family: 'ipv6', source: 'fd77::1', destination: 'fd77::2' };

const BUILTIN: Record<string, string[]> = {
  raw: ['PREROUTING', 'OUTPUT'],
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
  security: ['INPUT', 'FORWARD', 'OUTPUT'],
};

/** A table as iptables-save prints it; lines that start with `:` replace or add chains, the others are `-A` rules. */
export function saved(table: string, ...lines: string[]): string {
  const chains = (BUILTIN[table] ?? []).map((name) => `:${name} ACCEPT [0:0]`);
  const declared = lines.filter((line) => line.startsWith(':'));
  const kept = chains.filter((chain) => !declared.some((line) => line.split(' ')[0] === chain.split(' ')[0]));
  const rules = lines.filter((line) => !line.startsWith(':'));
  return [`*${table}`, ...kept, ...declared, ...rules, 'COMMIT', ''].join('\n');
}

type Reference = Omit<RuleReference, 'owner'>;
type DescribedVerdict =
  | { verdict: 'dropped'; by: Reference[] }
  | { verdict: 'not dropped'; by?: Reference; reason: string }
  | { verdict: 'unknown'; reason: string };

function refer(location: RuleLocation): Reference {
  const { owner, ...reference } = referTo(location);
  return reference;
}

/** The verdict with its rules as reports name them. */
function described(dump: RulesetDump, packet: Packet): DescribedVerdict {
  const verdict = judge(parseRuleset(dump), packet);
  if (verdict.verdict === 'dropped') return { verdict: 'dropped', by: verdict.by.map(refer) };
  const { verdict: word, reason } = verdict;
  if (word === 'unknown' || !('by' in verdict) || !verdict.by) return { verdict: word, reason };
  return { verdict: word, by: refer(verdict.by), reason };
}

/** The verdict where iptables-legacy alone holds these tables, for both families. */
export function judgeLegacy(text: string, packet: Packet = IPV4) {
  return described({ legacySave: { ipv4: text, ipv6: text } }, packet);
}

export interface NftChain {
  name: string;
  type?: string;
  hook?: string;
  prio?: number;
  policy?: string;
  dev?: Json;
  rules?: Json[][];
}

/** Members of nft's listing for one table. */
export function table(family: string, name: string, chains: NftChain[], more: Json[] = [], flags?: Json): Json[] {
  const scope = { family, table: name };
  return [
    { table: { family, name, handle: 1, ...(flags === undefined ? {} : { flags }) } },
    ...more.map((item) => item),
    ...chains.map(({ rules, ...chain }) => ({ chain: { ...scope, ...chain } as Json })),
    ...chains.flatMap((chain) => (chain.rules ?? []).map((expr) => ({ rule: { ...scope, chain: chain.name, expr } }))),
  ];
}

/** A base chain in prerouting at mangle's priority. */
export function prerouting(rules: Json[][], more: Partial<NftChain> = {}): NftChain {
  return { name: 'base', type: 'filter', hook: 'prerouting', prio: -150, policy: 'accept', rules, ...more };
}

export function listing(...items: Json[][]): string {
  return JSON.stringify({ nftables: [{ metainfo: { version: '1.0.6', json_schema_version: 1 } }, ...items.flat()] });
}

/** The verdict on a ruleset of nft's tables alone, as its JSON has them. */
export function judgeNft(items: Json[], packet: Packet = IPV4, dump: RulesetDump = {}) {
  return described({ ...dump, nft: listing(items) }, packet);
}

/** The verdict on one inet table with these rules in prerouting, at mangle's priority. */
export function judgeRules(rules: Json[][], packet: Packet = IPV4, more: Json[] = []) {
  return judgeNft(table('inet', 't', [prerouting(rules), { name: 'sub', rules: [[DROP]] }], more), packet);
}

export const ACCEPT: Json = { accept: null };
export const DROP: Json = { drop: null };
export const meta = (key: string): Json => ({ meta: { key } });
export const ct = (key: string): Json => ({ ct: { key } });
export const payload = (protocol: string, field: string): Json => ({ payload: { protocol, field } });
export const match = (left: Json, right: Json, op = '=='): Json => ({ match: { op, left, right } });
export const mangle = (key: Json, value: Json): Json => ({ mangle: { key, value } });
export const INVALID = match(ct('state'), 'invalid', 'in');
