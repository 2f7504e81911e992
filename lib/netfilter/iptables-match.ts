// iptables matches to conditions, for a packet that has no connection. An option that is not listed here is "maybe".
import type { SaveOption } from './iptables-rule.ts';
import type { Comparison, Condition, Value } from './model.ts';
import { toFlags, toNetwork, toNumber, toProtocol } from './numbers.ts';

/** A match module with its options; the module '' holds one of the rule's own options, such as -i. */
export interface Match {
  module: string;
  options: SaveOption[];
}

/** Modules that hold by themselves and only restrict by their options. */
const TRUE_ALONE = new Set(['', 'comment', 'tcp']);

/**
 * @param match one module of a rule as iptables-save prints it
 * @returns conditions that must all hold; `constant: undefined` for what is not understood
 */
export function parseMatch(match: Match): Condition[] {
  const text = textOf(match);
  if (match.module === 'conntrack' || match.module === 'state') return [parseState(match.options, text)];
  // connmark_mt (net/netfilter/xt_connmark.c): false where the packet has no connection, negated or not.
  if (match.module === 'connmark') return [hasConnection(text)];
  if (match.options.length === 0) return TRUE_ALONE.has(match.module) ? [] : [{ constant: undefined, text }];
  return match.options.map((option) => parseOption(match.module, option, text) ?? { constant: undefined, text });
}

type Parsed = Pick<Comparison, 'field' | 'mask'> & { oneOf: (Value | undefined)[] };

const PARSERS: Record<string, (option: SaveOption, value: string) => Parsed | undefined> = {
  ' -p': (_, name) => ({ field: 'protocol', oneOf: [toProtocol(name)] }),
  ' -i': (_, name) => ({ field: 'iif', oneOf: [toInterface(name)] }),
  ' -s': (_, network) => ({ field: 'source', oneOf: [parseNetwork(network)] }),
  ' -d': (_, network) => ({ field: 'destination', oneOf: [parseNetwork(network)] }),
  'tcp --sport': (_, ports) => ({ field: 'sourcePort', oneOf: toPorts(ports) }),
  'tcp --dport': (_, ports) => ({ field: 'destinationPort', oneOf: toPorts(ports) }),
  'tcp --tcp-flags': ({ values }, names) => {
    const mask = toFlags(names);
    return mask === undefined ? undefined : { field: 'flags', mask, oneOf: [toFlags(values[1] ?? '')] };
  },
  'multiport --sports': (_, ports) => ({ field: 'sourcePort', oneOf: toPorts(ports) }),
  'multiport --dports': (_, ports) => ({ field: 'destinationPort', oneOf: toPorts(ports) }),
  'mark --mark': (_, text) => {
    const [value, mask] = text.split('/').map(toNumber);
    if (text.includes('/') && mask === undefined) return undefined;
    return { field: 'mark', mask: mask ?? 0xffffffff, oneOf: [value] };
  },
};

function parseOption(module: string, option: SaveOption, text: string): Condition | undefined {
  const value = option.values[0] ?? '';
  if (module === 'comment' && option.flag === '--comment') return { constant: true, text };
  if (module === '' && option.flag === '-p' && ['all', '0'].includes(value)) return { constant: !option.negate, text };
  const parsed = PARSERS[`${module} ${option.flag}`]?.(option, value);
  if (!parsed) return undefined;
  const oneOf = parsed.oneOf.filter((one) => one !== undefined);
  return oneOf.length === parsed.oneOf.length ? { ...parsed, oneOf, negate: option.negate, text } : undefined;
}

/**
 * For a packet without connection, conntrack_mt (net/netfilter/xt_conntrack.c) looks at the state alone: it
 * matches if the state is asked for and fits, whatever else is asked, and never if no state is asked for.
 */
function parseState(options: SaveOption[], text: string): Condition {
  const state = options.find((option) => option.flag === '--ctstate' || option.flag === '--state');
  if (!state) return hasConnection(text);
  const oneOf = (state.values[0] ?? '').split(',').map((name) => name.toLowerCase());
  return { field: 'ctstate', oneOf, negate: state.negate, text };
}

function hasConnection(text: string): Condition {
  return { field: 'connection', oneOf: ['some'], negate: false, text };
}

function toPorts(text: string): (Value | undefined)[] {
  return text.split(',').map((range) => {
    const [from = '', to] = range.split(':');
    const low = from === '' ? 0 : toNumber(from);
    const high = to === undefined ? low : to === '' ? 65535 : toNumber(to);
    return low === undefined || high === undefined ? undefined : { from: low, to: high };
  });
}

function toInterface(name: string): Value {
  return name.endsWith('+') ? { startsWith: name.slice(0, -1) } : name;
}

/** Undefined for a mask that is no prefix, such as 10.0.0.1/255.0.255.255. */
function parseNetwork(text: string): Value | undefined {
  const [address = '', length] = text.split('/');
  return toNetwork(address, length === undefined ? undefined : (toNumber(length) ?? Number.NaN));
}

function textOf(match: Match): string {
  const options = match.options.map((option) => [option.negate ? '!' : '', option.flag, ...option.values]);
  return [match.module && `-m ${match.module}`, ...options.flat()].filter((word) => word !== '').join(' ');
}
