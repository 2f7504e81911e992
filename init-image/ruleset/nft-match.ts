// An nft match statement to a condition, for a TCP packet that has no connection.
import type { Condition, Field, Value } from './model.ts';
import { parseMarkValue } from './nft-mark.ts';
import type { Json } from './nft-statement.ts';
import { type Scope, toValues } from './nft-value.ts';
import { TCP_FLAGS } from './numbers.ts';

type Item = Record<string, Json>;
type Masked = { field: Field; mask?: number };

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

/** Headers that a TCP packet does not have: nft hides the dependency that makes such a rule end for it. */
const NOT_TCP = new Set([
  'udp',
  'udplite',
  'icmp',
  'icmpv6',
  'igmp',
  'sctp',
  'dccp',
  'esp',
  'ah',
  'comp',
  'arp',
  'ether-arp',
]);

/**
 * @param match {op, left, right}
 * @param text the match as people read it
 * @returns conditions that must all hold; `constant: undefined` for what is not understood
 */
export function parseMatch(match: Item, scope: Scope, text: string): Condition[] {
  const left = match['left'] ?? null;
  const right = match['right'] ?? null;
  if (neverHolds(left)) return [{ constant: false, text }];
  const field = fieldOf(left);
  const oneOf = field && toValues(field.field, right, scope);
  if (!field || !oneOf) return [{ constant: undefined, text }];
  const choice = typeof right === 'object' || String(right).startsWith('@');
  return [...familyOf(left, text), compare(field, String(match['op']), oneOf, choice, text)];
}

/** nft hides the dependency of an IPv4 or IPv6 header field: for the other family the rule ends, negated or not. */
function familyOf(left: Json, text: string): Condition[] {
  const header = ((left as Item | null)?.['payload'] as Item | undefined)?.['protocol'];
  if (header !== 'ip' && header !== 'ip6') return [];
  return [{ field: 'family', oneOf: [header === 'ip' ? 'ipv4' : 'ipv6'], negate: false, text }];
}

/**
 * nft_ct_get_eval (net/netfilter/nft_ct.c) ends the rule where the packet has no connection, for every key but
 * the state.
 */
function neverHolds(left: Json): boolean {
  const item = (typeof left === 'object' && left !== null ? left : {}) as Record<string, Item>;
  if (item['ct']) return item['ct']['key'] !== 'state';
  return NOT_TCP.has(String(item['payload']?.['protocol']));
}

/** The field that an expression reads and the mask that it lays over it, or undefined where not understood. */
export function fieldOf(left: Json): Masked | undefined {
  const item = (typeof left === 'object' && left !== null && !Array.isArray(left) ? left : {}) as Item;
  const meta = (item['meta'] as Item | undefined)?.['key'];
  if (meta !== undefined) return toField(META[String(meta)]);
  if ((item['ct'] as Item | undefined)?.['key'] === 'state') return { field: 'ctstate' };
  const payload = item['payload'] as Item | undefined;
  if (payload) return toField(PAYLOAD[`${payload['protocol']} ${payload['field']}`]);
  return item['&'] ? maskedField(item['&']) : undefined;
}

function toField(field: Field | undefined) {
  return field && { field };
}

function maskedField(operands: Json): { field: Field; mask: number } | undefined {
  const [inner = null, mask = null] = Array.isArray(operands) ? operands : [];
  const field = fieldOf(inner)?.field;
  const bits = field === 'flags' ? flagBits(mask) : field === 'mark' ? parseMarkValue(mask)?.xor : undefined;
  return field && bits !== undefined ? { field, mask: bits } : undefined;
}

/** `fin`, ["fin", "syn"] or {"|": ["fin", {"|": [...]}]}. */
function flagBits(value: Json): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value === 'string') return TCP_FLAGS[value.toUpperCase()];
  const list = Array.isArray(value) ? value : (value as Item | null)?.['|'];
  if (!Array.isArray(list)) return undefined;
  const bits = list.map(flagBits);
  return bits.every((bit) => bit !== undefined) ? bits.reduce((all, bit) => all | bit, 0) : undefined;
}

function compare(field: Masked, op: string, oneOf: Value[], choice: boolean, text: string): Condition {
  const unknown: Condition = { constant: undefined, text };
  if (op === '==' || op === '!=') {
    const whole = field.field === 'flags' ? { mask: 0xff, ...field } : field;
    return { ...whole, oneOf, negate: op === '!=', text };
  }
  if (op === 'in') {
    return field.field === 'ctstate' ? { ...field, oneOf, negate: false, text } : anyBit(field, oneOf, text);
  }
  const [value] = oneOf;
  if (typeof value !== 'number' || field.mask !== undefined || choice) return unknown;
  const range = toRange(op, value);
  return range ? { ...field, oneOf: [range], negate: false, text } : unknown;
}

function toRange(op: string, value: number): Value | undefined {
  const top = 0xffffffff;
  const ranges: Record<string, Value> = {
    '<': { from: 0, to: value - 1 },
    '<=': { from: 0, to: value },
    '>': { from: value + 1, to: top },
    '>=': { from: value, to: top },
  };
  return ranges[op];
}

/** `tcp flags syn` and `meta mark in`: any of the bits is set. */
function anyBit(field: Masked, oneOf: Value[], text: string): Condition {
  const numbers = oneOf.filter((value) => typeof value === 'number');
  if (field.mask !== undefined || numbers.length < oneOf.length) return { constant: undefined, text };
  const bits = numbers.reduce((all, bit) => all | bit, 0) >>> 0;
  return { ...field, mask: bits, oneOf: [0], negate: true, text };
}
