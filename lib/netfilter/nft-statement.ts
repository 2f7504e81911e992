// One nft statement to steps. A statement that is not listed is "unknown".
import type { Action, Choice, Step } from './model.ts';
import {
  describe,
  elementsOf,
  fieldOf,
  flagBits,
  isFamily,
  type Json,
  type JsonItem,
  parseMarkValue,
  requirementsOf,
  type SetScope,
  toItem,
  toNamed,
  toValues,
} from './nft-expression.ts';
import { type Comparison, type Condition, endpointOf, needsConnection, undecidable, type Value } from './packet.ts';

/** The exemption's table and sets (exemption.ts), whose meaning is known though packets change them. */
export const EXEMPTION_TABLE = 'inet invalid-drop';
export const STRAY_SETS = ['strays4', 'strays6'] as const;
export const LISTENER_SETS = ['listeners4', 'listeners6'] as const;
/** Connections of which the pod's own segments are INVALID. */
export const ANSWER_SETS = ['answers4', 'answers6'] as const;
/** Ports that connections are redirected to. */
export const REDIRECTED_SET = 'redirected';
/** A quota of the exemption's: the kernel reports the first packet that it counts, until it is reset. */
export const ALARM_QUOTA = 'alarm';

/** Statements that let the packet go on and change nothing that a verdict depends on. */
const PASSES = new Set(['counter', 'log', 'ct helper', 'ct timeout', 'dup', 'last', 'secmark', 'continue']);

/** Statements that end the rule for some packets and not for others. */
const UNDECIDABLE = new Set(['limit', 'quota', 'set', 'map', 'meter', 'ct count']);

/** Statements that end the rule where the packet has no connection (nft_flow_offload.c, nft_ct.c). */
const NEEDS_CONNECTION = new Set(['flow', 'ct expectation']);

const VERDICTS: Record<string, Action> = {
  accept: { do: 'accept' },
  drop: { do: 'drop' },
  return: { do: 'return' },
  continue: { do: 'continue' },
  notrack: { do: 'notrack' },
};

/**
 * @param statement an element of a rule's `expr`
 * @returns steps; none for what cannot matter
 */
export function parseStatement(statement: Json, scope: SetScope): Step[] {
  const [name, value] = toNamed(statement);
  const text = describe(statement);
  const item = toItem(value);
  if (name === 'xt') return [{ xt: parseXt(item) }];
  if (name === 'match') return conditions(parseMatch(item, scope, text));
  if (name === 'mangle') return parseMangle(item, text);
  if (name === 'set' && isNote(item, scope))
    return [...conditions(requirementsOf(value, text)), { act: { do: 'note' } }];
  if (name === 'quota' && value === ALARM_QUOTA && scope.table === EXEMPTION_TABLE) return [{ act: { do: 'alarm' } }];
  const required = conditions([...requirementsOf(value, text), ...ownRequirements(name, item, text, scope)]);
  if (name === 'vmap') return [...required, { choose: parseChoices(item, scope, text) }];
  return PASSES.has(name) || UNDECIDABLE.has(name) ? required : [...required, { act: toAction(name, item, text) }];
}

function conditions(list: Condition[]): Step[] {
  return list.map((when) => ({ when }));
}

function parseXt({ type, name }: JsonItem) {
  return {
    ...(type === undefined ? {} : { type: String(type) }),
    ...(name === undefined ? {} : { name: String(name) }),
  };
}

/** Where the set is full, the rule ends there; nothing stands behind it. */
function isNote(item: JsonItem, { table }: SetScope): boolean {
  return table === EXEMPTION_TABLE && item['op'] !== 'delete' && STRAY_SETS.some((name) => item['set'] === `@${name}`);
}

/** What nft demands of the packet besides the expressions in the statement; it does not print it. */
function ownRequirements(name: string, item: JsonItem, text: string, { table }: SetScope): Condition[] {
  if (UNDECIDABLE.has(name)) return [undecidable(text)];
  if (NEEDS_CONNECTION.has(name)) return [needsConnection(text)];
  if (name === 'reject' && item['type'] === 'icmp') return [isFamily('ip', text)];
  if (name === 'reject' && item['type'] === 'icmpv6') return [isFamily('ip6', text)];
  // `meta protocol ip` or `meta nfproto ipv4` before it is not printed (nft 1.0.6), where the table has both families.
  if (name === 'reject' && item['type'] === 'tcp reset' && /^(inet|netdev) /.test(table)) {
    return [undecidable(`${text}, of which nft does not print the address family`)];
  }
  // A `tproxy ip` that meets IPv6 does not hand the packet over.
  if (name === 'tproxy' && (item['family'] === 'ip' || item['family'] === 'ip6')) {
    return [isFamily(item['family'], text)];
  }
  return [];
}

function toAction(name: string, item: JsonItem, text: string): Action {
  const target = item['target'];
  if ((name === 'jump' || name === 'goto') && typeof target === 'string') return { do: name, chain: target };
  if (name === 'reject') return { do: item['type'] === 'tcp reset' ? 'reset' : 'drop' };
  const port = typeof item['port'] === 'number' ? { port: item['port'] } : {};
  if (name === 'synproxy') return { do: 'synproxy', text };
  if (name === 'redirect') return { do: 'redirect', ...port, text };
  if (name === 'tproxy') return { do: 'tproxy', ends: false, change: { and: 0xffffffff, xor: 0 }, ...port };
  return VERDICTS[name] ?? { do: 'unknown', text };
}

/** The element for all other keys (`*`) comes last, wherever it is printed. */
function parseChoices(vmap: JsonItem, scope: SetScope, text: string): Choice[] {
  const data = vmap['data'];
  const elements = typeof data === 'string' ? elementsOf(data, scope) : [toItem(data)['set'] ?? []].flat(1);
  const pairs = elements?.map((pair) => (Array.isArray(pair) ? pair : []));
  if (!pairs) return [{ when: undecidable(text), act: { do: 'unknown', text } }];
  const isRest = ([key]: Json[]) => key === '*';
  const sorted = [...pairs.filter((pair) => !isRest(pair)), ...pairs.filter(isRest)];
  return sorted.map(([key = null, verdict = null]) => {
    const [name, target] = toNamed(verdict);
    const when = key === '*' ? { constant: true, text } : keyCondition(vmap['key'] ?? null, key, scope, text);
    return { when, act: toAction(name, toItem(target), text) };
  });
}

function keyCondition(left: Json, key: Json, scope: SetScope, text: string): Condition {
  const field = fieldOf(left);
  const oneOf = field && toValues(field.field, key, scope);
  return oneOf ? { ...field, oneOf, negate: false, text } : undecidable(text);
}

/**
 * @param match {op, left, right}
 * @param text the match as people read it
 * @returns conditions that must all hold
 */
function parseMatch(match: JsonItem, scope: SetScope, text: string): Condition[] {
  const left = match['left'] ?? null;
  const right = match['right'] ?? null;
  const socket = parseSocket(left, String(match['op']), right, text);
  if (socket) return [socket];
  const required = requirementsOf([left, right], text);
  const listeners = match['op'] === '==' ? listenersOf(left, right, scope) : undefined;
  if (listeners) return [...required, { listeners, text }];
  const redirected = match['op'] === '==' ? redirectedOf(left, right, scope) : undefined;
  if (redirected) return [...required, { redirected, text }];
  const field = fieldOf(left);
  const compared = field && compare(field, String(match['op']), right, scope);
  if (!compared) return [...required, undecidable(text)];
  const merged = match['op'] === '==' && 'range' in toItem(right);
  return [...required, ...(merged ? upperEnd({ ...compared, text }) : [{ ...compared, text }])];
}

/**
 * `socket wildcard 0`: there is a socket, and it is not bound to all addresses (nft_socket_eval, net/netfilter/nft_socket.c).
 * An established socket never is.
 */
function parseSocket(left: Json, op: string, right: Json, text: string): Condition | undefined {
  const isWildcard = toItem(toItem(left)['socket'])['key'] === 'wildcard';
  if (!isWildcard || op !== '==' || right !== 0) return undefined;
  return { field: 'socket', oneOf: ['own', 'listener'], negate: false, text };
}

/** The elements of the exemption's set of listeners, where the match looks a destination up in it. */
function listenersOf(left: Json, right: Json, { sets, table }: SetScope): ReadonlySet<string> | undefined {
  if (table !== EXEMPTION_TABLE || !LISTENER_SETS.some((name) => right === `@${name}`)) return undefined;
  const concat = toItem(left)['concat'];
  if (!Array.isArray(concat) || !/^ip6? daddr tcp dport$/.test(concat.map(describe).join(' '))) return undefined;
  const elements = listedElements(String(right), sets);
  if (!elements) return undefined;
  return new Set(
    elements.flatMap((element) => {
      const item = toItem(element);
      const pair = toItem(toItem(item['elem'])['val'] ?? item)['concat'];
      const [address, port] = Array.isArray(pair) ? pair : [];
      return typeof address === 'string' && typeof port === 'number' ? [endpointOf(address, port)] : [];
    }),
  );
}

/** The elements of the exemption's set of ports, where the match looks the destination port up in it. */
function redirectedOf(left: Json, right: Json, { sets, table }: SetScope): ReadonlySet<number> | undefined {
  if (table !== EXEMPTION_TABLE || right !== `@${REDIRECTED_SET}` || describe(left) !== 'tcp dport') return undefined;
  const elements = listedElements(right, sets);
  return elements && new Set(elements.filter((port) => typeof port === 'number'));
}

/** Of a set of the exemption's, though packets add to it; undefined where they were not listed. */
function listedElements(name: string, sets: SetScope['sets']): Json[] | undefined {
  const set = sets.get(`${EXEMPTION_TABLE} ${name.slice(1)}`);
  return set?.['unlisted'] ? undefined : [set?.['elem'] ?? []].flat(1);
}

/**
 * nft 1.0.6 prints `tcp dport >= 9003 tcp sport <= 41002` as `tcp sport 9003-41002`, for any two fields: of
 * a range only the upper end is sure to be about the field that is printed.
 */
function upperEnd(range: Comparison): Condition[] {
  const oneOf = range.oneOf.map((value) =>
    typeof value === 'object' && 'from' in value ? { ...value, from: 0 } : value,
  );
  const lowerEnd = undecidable(range.text);
  return oneOf.some((value) => typeof value === 'object' && 'addressFrom' in value)
    ? [lowerEnd]
    : [{ ...range, oneOf }, lowerEnd];
}

type MaskedField = Pick<Comparison, 'field' | 'mask'>;

function compare(field: MaskedField, op: string, right: Json, scope: SetScope): Omit<Comparison, 'text'> | undefined {
  switch (op) {
    case '==':
    case '!=': {
      const oneOf = toEqual(field, right, scope);
      return oneOf && { ...field, oneOf, negate: op === '!=' };
    }
    case 'in':
    case '!':
      return anyOf(field, right, op === '!', scope);
    default: {
      const range = typeof right === 'number' && field.mask === undefined ? orderRange(op, right) : undefined;
      return range && { ...field, oneOf: [range], negate: false };
    }
  }
}

/** `tcp flags == [fin, syn]` is both flags at once; the packet's state is one bit and never equals several. */
function toEqual({ field }: MaskedField, right: Json, scope: SetScope): Value[] | undefined {
  const bits = field === 'flags' ? flagBits(right) : undefined;
  if (bits !== undefined) return [bits];
  return Array.isArray(right) ? undefined : toValues(field, right, scope);
}

/** `in`: one of the bits is set, `!`: none is. */
function anyOf(read: MaskedField, right: Json, none: boolean, scope: SetScope): Omit<Comparison, 'text'> | undefined {
  if (read.mask !== undefined) return undefined;
  if (read.field === 'ctstate') {
    const oneOf = toValues('ctstate', Array.isArray(right) ? { set: right } : right, scope);
    return oneOf && { ...read, oneOf, negate: none };
  }
  const mask = read.field === 'flags' ? flagBits(right) : undefined;
  return mask === undefined ? undefined : { field: 'flags', mask, oneOf: [0], negate: !none };
}

function orderRange(op: string, value: number): { from: number; to: number } | undefined {
  const top = 0xffffffff;
  const ranges: Record<string, { from: number; to: number }> = {
    '<': { from: 0, to: value - 1 },
    '<=': { from: 0, to: value },
    '>': { from: value + 1, to: top },
    '>=': { from: value, to: top },
  };
  return ranges[op];
}

/** Header fields and metadata that a socket does not look at. */
const HARMLESS = new Set(['ip ttl', 'ip dscp', 'ip ecn', 'ip6 hoplimit', 'ip6 dscp', 'ip6 ecn', 'ip6 flowlabel']);
const HARMLESS_META = new Set(['priority', 'nftrace', 'secmark']);

/**
 * @param mangle {key, value}: what is set, and to what
 * @returns steps: what must hold for the rule to go on, then the change, if a verdict depends on it
 */
function parseMangle({ key, value }: JsonItem, text: string): Step[] {
  const required = requirementsOf([value ?? null, 'payload' in toItem(key) ? (key ?? null) : null], text);
  return [...conditions(required), ...changeOf(toItem(key), value ?? null, text)];
}

function changeOf(key: JsonItem, value: Json, text: string): Step[] {
  const meta = toItem(key['meta'])['key'];
  const ct = toItem(key['ct'])['key'];
  if (meta === 'mark') {
    const change = parseMarkValue(value);
    // An expression that is not understood may end the rule as well.
    return change ? [{ act: { do: 'mark', change } }] : [{ when: undecidable(text) }, { act: { do: 'mark' } }];
  }
  // Every other `ct ... set` does nothing where the packet has no connection, and changes only the connection where it
  // has one (nft_ct_set_eval, nft_ct.c).
  if (ct !== undefined) return ct === 'zone' ? [{ act: { do: 'template' } }] : [];
  if (HARMLESS_META.has(String(meta)) || HARMLESS.has(describe(key))) return [];
  if ('tcp option' in key) return [{ when: undecidable(text) }];
  return [{ act: { do: 'rewrite' } }];
}
