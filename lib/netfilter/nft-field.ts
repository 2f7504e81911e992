// What an nft expression reads of the packet, and what the packet must have so that the rule does not end there.
import type { Condition, Field } from './model.ts';
import { type Item, type Json, toItem } from './nft-text.ts';
import { TCP_FLAGS } from './numbers.ts';

const META: Record<string, Field> = {
  l4proto: 'protocol',
  iifname: 'iif',
  iif: 'iif',
  mark: 'mark',
  nfproto: 'family',
  protocol: 'family',
};
const PAYLOAD: Record<string, Field> = {
  'tcp sport': 'sourcePort',
  'tcp dport': 'destinationPort',
  'tcp flags': 'flags',
  'th sport': 'sourcePort',
  'th dport': 'destinationPort',
  'ip saddr': 'source',
  'ip daddr': 'destination',
  'ip6 saddr': 'source',
  'ip6 daddr': 'destination',
  'ip protocol': 'protocol',
};

/** Headers that a TCP packet does not have. */
const NOT_TCP = new Set([
  ...['udp', 'udplite', 'icmp', 'icmpv6', 'igmp', 'sctp', 'dccp', 'esp', 'ah', 'comp', 'arp', 'ether-arp'],
]);

/** Expressions that end the rule (NFT_BREAK) for some packets: a lookup without result, a header that is not there. */
const MAY_BREAK = new Set([
  ...['map', 'fib', 'socket', 'rt', 'osf', 'ipsec', 'tunnel', 'exthdr', 'tcp option', 'ip option', 'sctp chunk'],
]);

/** The field that an expression reads and the mask that it lays over it, or undefined where not understood. */
export function fieldOf(left: Json): { field: Field; mask?: number } | undefined {
  const item = toItem(left);
  const payload = toItem(item['payload']);
  const isState = toItem(item['ct'])['key'] === 'state';
  const field: Field | undefined = isState
    ? 'ctstate'
    : (META[String(toItem(item['meta'])['key'])] ?? PAYLOAD[`${payload['protocol']} ${payload['field']}`]);
  return field ? { field } : item['&'] ? maskedField(item['&']) : undefined;
}

function maskedField(operands: Json): { field: Field; mask: number } | undefined {
  const [inner = null, mask = null] = Array.isArray(operands) && operands.length === 2 ? operands : [];
  const read = fieldOf(inner);
  if (!read || read.mask !== undefined) return undefined;
  if (read.field === 'mark') return typeof mask === 'number' ? { field: 'mark', mask } : undefined;
  const bits = read.field === 'flags' ? flagBits(mask) : undefined;
  return bits === undefined ? undefined : { field: read.field, mask: bits };
}

/** `fin`, ["fin", "syn"] or {"|": ["fin", {"|": [...]}]}: a list of flags is all of them. */
export function flagBits(value: Json): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value === 'string') return TCP_FLAGS[value.toUpperCase()];
  const list = Array.isArray(value) ? value : toItem(value)['|'];
  if (!Array.isArray(list)) return undefined;
  const bits = list.map(flagBits);
  return bits.every((bit) => bit !== undefined) ? bits.reduce((all, bit) => all | bit, 0) : undefined;
}

/**
 * nft hides the dependencies that it adds to a rule: `ip ttl set 5 accept` in an inet table ends for IPv6, and
 * `meta mark set ct mark accept` where the packet has no connection (nft_ct_get_eval, net/netfilter/nft_ct.c).
 * @param value a statement or a part of one
 * @returns conditions without which the rule ends there
 */
export function requirementsOf(value: Json | undefined, text: string): Condition[] {
  if (Array.isArray(value)) return value.flatMap((item) => requirementsOf(item, text));
  return Object.entries(toItem(value)).flatMap(([name, body]) => [
    ...requirementsOfOne(name, toItem(body), text),
    ...requirementsOf(body, text),
  ]);
}

function requirementsOfOne(name: string, item: Item, text: string): Condition[] {
  const protocol = String(item['protocol']);
  if (MAY_BREAK.has(name)) return [{ constant: undefined, text }];
  if (name === 'ct' && item['key'] !== 'state') {
    return [{ field: 'connection', oneOf: ['some'], negate: false, text }];
  }
  if (name !== 'payload') return [];
  if (protocol === 'ip' || protocol === 'ip6') return [isFamily(protocol, text)];
  return NOT_TCP.has(protocol) ? [{ constant: false, text }] : [];
}

/** The packet is IPv4 (`ip`) or IPv6 (`ip6`). */
export function isFamily(family: 'ip' | 'ip6', text: string): Condition {
  return { field: 'family', oneOf: [family === 'ip' ? 'ipv4' : 'ipv6'], negate: false, text };
}
