// Expressions of nft's JSON (libnftables-json(5)): what they read of a packet, the values that they stand for, and what
// a packet must have so that the rule does not end at them.
import { xtText } from './model.ts';
import {
  type Condition,
  type Family,
  type Field,
  type MarkChange,
  needsConnection,
  TCP_FLAGS,
  toNetwork,
  toNumber,
  toProtocol,
  undecidable,
  type Value,
} from './packet.ts';

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
export type JsonItem = Record<string, Json>;

/** The value as an object, or an empty one where it is none. */
export function toItem(value: Json | undefined): JsonItem {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
}

/** The name of an expression or statement, and its body: the one member of an object. */
export function toNamed(value: Json | undefined): [name: string, body: Json] {
  const [name = '', body = null] = Object.entries(toItem(value))[0] ?? [];
  return [name, body];
}

/** An expression or statement as one line for people, close to nft's own text; it is never parsed again. */
export function describe(value: Json | undefined): string {
  if (value === undefined || value === null || typeof value !== 'object') return String(value ?? '');
  if (Array.isArray(value)) return `{ ${value.map(describe).join(', ')} }`;
  const [name, body] = toNamed(value);
  const write = WRITERS[name];
  if (write) return write(toItem(body), body);
  return body === null ? name : `${name} ${JSON.stringify(body)}`;
}

const WRITERS: Record<string, (item: JsonItem, body: Json) => string> = {
  match: ({ op, left, right }) => {
    const operator = op === '==' || op === 'in' ? '' : `${op} `;
    return `${describe(left)} ${operator}${describe(right)}`;
  },
  meta: ({ key }) => `meta ${key}`,
  ct: ({ key }) => `ct ${key}`,
  payload: ({ protocol, field }) => `${protocol ?? '@raw'} ${field ?? ''}`.trim(),
  set: (item, body) => (item['op'] ? `${item['op']} ${item['set']} { ${describe(item['elem'])} }` : describe(body)),
  counter: () => 'counter',
  prefix: ({ addr, len }) => `${addr}/${len}`,
  range: (_, body) => [body].flat().map(describe).join('-'),
  '&': (_, body) => [body].flat().map(describe).join(' & '),
  '|': (_, body) => [body].flat().map(describe).join(' | '),
  '^': (_, body) => [body].flat().map(describe).join(' ^ '),
  jump: ({ target }) => `jump ${target}`,
  goto: ({ target }) => `goto ${target}`,
  vmap: ({ key, data }) => `${describe(key)} vmap ${describe(data)}`,
  mangle: ({ key, value }) => `${describe(key)} set ${describe(value)}`,
  redirect: ({ port }) => (port === undefined ? 'redirect' : `redirect to :${describe(port)}`),
  reject: ({ type }) => (type === undefined ? 'reject' : `reject with ${type}`),
  xt: xtText,
};

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

/** Headers that a TCP packet does not have. */
const NOT_TCP = new Set([
  ...['udp', 'udplite', 'icmp', 'icmpv6', 'igmp', 'sctp', 'dccp', 'esp', 'ah', 'comp', 'arp', 'ether-arp'],
]);

/** Expressions that end the rule (NFT_BREAK) for some packets: a lookup without result, a header that is missing. */
const MAY_BREAK = new Set([
  ...['map', 'fib', 'socket', 'rt', 'osf', 'ipsec', 'tunnel', 'exthdr', 'tcp option', 'ip option', 'sctp chunk'],
]);

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

function requirementsOfOne(name: string, item: JsonItem, text: string): Condition[] {
  const protocol = String(item['protocol']);
  if (MAY_BREAK.has(name)) return [undecidable(text)];
  if (name === 'ct' && item['key'] !== 'state') return [needsConnection(text)];
  if (name !== 'payload') return [];
  if (protocol === 'ip' || protocol === 'ip6') return [isFamily(protocol, text)];
  return NOT_TCP.has(protocol) ? [{ constant: false, text }] : [];
}

/** The packet is IPv4 (`ip`) or IPv6 (`ip6`). */
export function isFamily(family: 'ip' | 'ip6', text: string): Condition {
  return { field: 'family', oneOf: [family === 'ip' ? 'ipv4' : 'ipv6'], negate: false, text };
}

/** Named sets and maps as nft prints them, by `FAMILY TABLE NAME`. */
export type NftSets = Map<string, JsonItem>;

/** Where a rule's named sets are looked up. */
export interface SetScope {
  sets: NftSets;
  /** `FAMILY TABLE` of the rule. */
  table: string;
}

/** The elements of a named set or map; undefined where packets or timeouts change them, or none were listed. */
export function elementsOf(name: string, { sets, table }: SetScope): Json[] | undefined {
  const set = sets.get(`${table} ${name.replace(/^@/, '')}`);
  const flags = [set?.['flags'] ?? []].flat();
  const changes = flags.includes('dynamic') || flags.includes('timeout') || set?.['timeout'] !== undefined;
  return set && !changes && !set['unlisted'] ? [set['elem'] ?? []].flat(1) : undefined;
}

/**
 * @param right the expression on the right side of a match
 * @returns the values that it stands for, or undefined where one is not understood
 */
export function toValues(field: Field, right: Json, scope: SetScope): Value[] | undefined {
  const list =
    typeof right === 'string' && right.startsWith('@')
      ? elementsOf(right, scope)
      : 'set' in toItem(right)
        ? [toItem(right)['set'] ?? []].flat()
        : [right];
  const values = list?.map((item) => toValue(field, item));
  return values?.every((value) => value !== undefined) ? values : undefined;
}

function toValue(field: Field, value: Json): Value | undefined {
  const item = toItem(value);
  if ('elem' in item) return toElement(field, item['elem']);
  if ('prefix' in item) return toPrefix(item['prefix']);
  if ('range' in item) return toRange(field, item['range']);
  if (field === 'flags') return flagBits(value);
  return typeof value === 'string' || typeof value === 'number' ? toScalar(field, value) : undefined;
}

/** A limit or quota in an element decides whether it is found (nft_lookup_eval, net/netfilter/nft_lookup.c). */
function toElement(field: Field, element: Json | undefined): Value | undefined {
  const { val, comment, counter, ...others } = toItem(element);
  return val === undefined || Object.keys(others).length > 0 ? undefined : toValue(field, val);
}

function toPrefix(prefix: Json | undefined): Value | undefined {
  const { addr, len } = toItem(prefix);
  return typeof addr === 'string' && typeof len === 'number' ? toNetwork(addr, len) : undefined;
}

function toRange(field: Field, range: Json | undefined): Value | undefined {
  const [from, to] = Array.isArray(range) ? range : [];
  if (typeof from === 'number' && typeof to === 'number') return { from, to };
  if ((field !== 'source' && field !== 'destination') || typeof from !== 'string' || typeof to !== 'string') {
    return undefined;
  }
  return toNetwork(from) && toNetwork(to) ? { addressFrom: from, addressTo: to } : undefined;
}

const STATES = ['invalid', 'established', 'related', 'new', 'untracked'];
/** `meta nfproto ipv4` and `meta protocol ip` mean the same. */
const FAMILY_NAMES: Record<string, Family> = { ip: 'ipv4', ipv4: 'ipv4', ip6: 'ipv6', ipv6: 'ipv6' };

function toScalar(field: Field, value: string | number): Value | undefined {
  const text = String(value);
  switch (field) {
    case 'protocol':
      return toProtocol(value);
    case 'source':
    case 'destination':
      return toNetwork(text);
    case 'iif':
      return typeof value === 'string' ? toInterface(value) : undefined;
    case 'family':
      return FAMILY_NAMES[text];
    case 'ctstate':
      return STATES.includes(text) ? text : undefined;
    default:
      return toNumber(text);
  }
}

/** `eth*` is a prefix; `\*` at the end is a star in the name. */
function toInterface(name: string): Value {
  if (name.endsWith('\\*')) return `${name.slice(0, -2)}*`;
  return name.endsWith('*') ? { startsWith: name.slice(0, -1) } : name;
}

/**
 * @param value nested `&`, `|` and `^` of the old mark and constants (libnftables-json(5), BINARY OPERATION)
 * @returns the same as one change, or undefined where another value takes part
 */
export function parseMarkValue(value: Json): MarkChange | undefined {
  if (typeof value === 'number') return { and: 0, xor: value >>> 0 };
  const [operator, operands] = toNamed(value);
  if (operator === 'meta') return toItem(operands)['key'] === 'mark' ? { and: 0xffffffff, xor: 0 } : undefined;
  if (!Array.isArray(operands) || operands.length !== 2) return undefined;
  const change = parseMarkValue(operands[0] ?? null);
  const constant = operands[1];
  return change && typeof constant === 'number' ? applyOperator(change, operator, constant) : undefined;
}

function applyOperator({ and, xor }: MarkChange, operator: string, constant: number): MarkChange | undefined {
  switch (operator) {
    case '&':
      return { and: (and & constant) >>> 0, xor: (xor & constant) >>> 0 };
    case '|':
      return { and: (and & ~constant) >>> 0, xor: (xor | constant) >>> 0 };
    case '^':
      return { and, xor: (xor ^ constant) >>> 0 };
    default:
      return undefined;
  }
}
