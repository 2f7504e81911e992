// The right side of an nft match to values: scalars, prefixes, ranges, anonymous and named sets.
import type { Family, Field, Value } from './model.ts';
import type { Json } from './nft-statement.ts';
import { TCP_FLAGS, toNumber, toProtocol } from './numbers.ts';

/** Named sets and maps as nft prints them, by `FAMILY TABLE NAME`. */
export type NftSets = Map<string, Record<string, Json>>;
export interface Scope {
  sets: NftSets;
  /** `FAMILY TABLE` of the rule. */
  scope: string;
}

/**
 * @param right what libnftables-json(5) calls EXPRESSION, on the right side of a match
 * @returns the values that it stands for, or undefined where one is not understood
 */
export function toValues(field: Field, right: Json, scope: Scope): Value[] | undefined {
  if (typeof right === 'string' && right.startsWith('@')) return toNamedSet(field, right.slice(1), scope);
  const list = Array.isArray(right) ? right : (setOf(right) ?? [right]);
  const values = list.map((item) => toValue(field, item));
  return values.every((value) => value !== undefined) ? values : undefined;
}

function setOf(right: Json): Json[] | undefined {
  return typeof right === 'object' && right !== null && 'set' in right ? ([right['set']].flat() as Json[]) : undefined;
}

/** Sets that packets or timeouts change are left alone: what they hold now says nothing of the next packet. */
function toNamedSet(field: Field, name: string, scope: Scope): Value[] | undefined {
  const set = scope.sets.get(`${scope.scope} ${name}`);
  const flags = [set?.['flags'] ?? []].flat();
  if (!set || flags.includes('dynamic') || flags.includes('timeout') || set['timeout'] !== undefined) return undefined;
  return toValues(field, (set['elem'] ?? []) as Json[], scope);
}

function toValue(field: Field, item: Json): Value | undefined {
  if (typeof item === 'object' && item !== null && !Array.isArray(item)) {
    if ('elem' in item) return toElement(field, item['elem']);
    if ('prefix' in item) return toPrefix(item['prefix']);
    if ('range' in item) return toRange(field, item['range']);
    return undefined;
  }
  return typeof item === 'string' || typeof item === 'number' ? toScalar(field, item) : undefined;
}

function toElement(field: Field, element: Json | undefined): Value | undefined {
  const { val, timeout, expires } = (element ?? {}) as Record<string, Json>;
  return val === undefined || timeout !== undefined || expires !== undefined ? undefined : toValue(field, val);
}

function toPrefix(prefix: Json | undefined): Value | undefined {
  const { addr, len } = (prefix ?? {}) as { addr?: Json; len?: Json };
  return typeof addr === 'string' && typeof len === 'number' ? { address: addr, length: len } : undefined;
}

function toRange(field: Field, range: Json | undefined): Value | undefined {
  const [from, to] = Array.isArray(range) ? range : [];
  if (typeof from === 'number' && typeof to === 'number') return { from, to };
  const addresses = field === 'source' || field === 'destination';
  if (!addresses || typeof from !== 'string' || typeof to !== 'string') return undefined;
  return { addressFrom: from, addressTo: to };
}

function toScalar(field: Field, value: string | number): Value | undefined {
  switch (field) {
    case 'protocol':
      return toProtocol(value);
    case 'flags':
      return typeof value === 'number' ? value : TCP_FLAGS[value.toUpperCase()];
    case 'mark':
    case 'sourcePort':
    case 'destinationPort':
      return typeof value === 'number' ? value : toNumber(value);
    case 'source':
    case 'destination':
      return typeof value === 'string' ? { address: value, length: value.includes(':') ? 128 : 32 } : undefined;
    case 'iif':
      return typeof value === 'string' ? toInterface(value) : undefined;
    case 'family':
      return toFamily(value);
    default:
      return String(value);
  }
}

/** `eth*` is a prefix; `\*` at the end is a star in the name. */
function toInterface(name: string): Value {
  if (name.endsWith('\\*')) return `${name.slice(0, -2)}*`;
  return name.endsWith('*') ? { startsWith: name.slice(0, -1) } : name;
}

/** `meta nfproto ipv4` and `meta protocol ip` mean the same. */
function toFamily(value: string | number): Value | undefined {
  const names: Record<string, Family> = { ip: 'ipv4', ipv4: 'ipv4', ip6: 'ipv6', ipv6: 'ipv6' };
  return names[value];
}
