// The right side of an nft match to values: scalars, prefixes, ranges, anonymous and named sets.
import type { Family, Field, Value } from './model.ts';
import { flagBits } from './nft-field.ts';
import { isSteady, type NftSets } from './nft-sets.ts';
import { type Json, toItem } from './nft-text.ts';
import { toNetwork, toNumber, toProtocol } from './numbers.ts';

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
  const list = 'set' in toItem(right) ? [toItem(right)['set'] ?? []].flat() : [right];
  return allOf(list.map((item) => toValue(field, item)));
}

function allOf(values: (Value | undefined)[]): Value[] | undefined {
  return values.every((value) => value !== undefined) ? values : undefined;
}

function toNamedSet(field: Field, name: string, { sets, scope }: Scope): Value[] | undefined {
  const set = sets.get(`${scope} ${name}`);
  if (!set || !isSteady(set)) return undefined;
  return allOf([set['elem'] ?? []].flat().map((item) => toValue(field, item)));
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
const FAMILIES: Record<string, Family> = { ip: 'ipv4', ipv4: 'ipv4', ip6: 'ipv6', ipv6: 'ipv6' };

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
      return FAMILIES[text];
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
