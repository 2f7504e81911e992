// One nft statement to steps, for a packet that has no connection. A statement that is not listed is "unknown".
import type { Action, Choice, Condition, Step } from './model.ts';
import { opaqueStep } from './nameless.ts';
import { fieldOf, isFamily, requirementsOf } from './nft-field.ts';
import { parseMangle } from './nft-mangle.ts';
import { parseMatch } from './nft-match.ts';
import { isSteady } from './nft-sets.ts';
import { describe, type Item, type Json, toItem } from './nft-text.ts';
import { type Scope, toValues } from './nft-value.ts';

/** Statements that let the packet go on and change nothing that a verdict depends on. */
const PASSES = new Set(['counter', 'log', 'ct helper', 'ct timeout', 'dup', 'last', 'secmark', 'continue']);

/** Statements that end the rule for some packets and not for others. */
const MAYBE = new Set(['limit', 'quota', 'set', 'map', 'meter', 'ct count']);

/** Statements that end the rule where the packet has no connection (nft_flow_offload.c, nft_ct.c). */
const NEEDS_CONNECTION = new Set(['flow', 'ct expectation']);

const VERDICTS: Record<string, Action> = {
  accept: { do: 'accept' },
  drop: { do: 'drop' },
  return: { do: 'return' },
  continue: { do: 'continue' },
  notrack: { do: 'notrack' },
  tproxy: { do: 'tproxy', ends: false, change: { and: 0xffffffff, xor: 0 } },
};

/**
 * @param statement an element of a rule's `expr`
 * @returns steps; none for what cannot matter. `xt` is "maybe" or "unknown" here: only iptables-save can say more
 */
export function parseStatement(statement: Json, scope: Scope): Step[] {
  const [name = '', value = null] = Object.entries(toItem(statement))[0] ?? [];
  const text = describe(statement);
  const item = toItem(value);
  if (name === 'xt') return [opaqueStep(item['type'] as string | undefined, String(item['name']))];
  if (name === 'match') return conditions(parseMatch(item, scope, text));
  if (name === 'mangle') return parseMangle(item, text);
  const required = conditions([...requirementsOf(value, text), ...ownRequirements(name, item, text, scope)]);
  if (name === 'vmap') return [...required, { choose: parseChoices(item, scope, text) }];
  return PASSES.has(name) || MAYBE.has(name) ? required : [...required, { act: toAction(name, item, text) }];
}

function conditions(list: Condition[]): Step[] {
  return list.map((when) => ({ when }));
}

/** What nft demands of the packet besides the expressions in the statement; it does not print it. */
function ownRequirements(name: string, item: Item, text: string, { scope }: Scope): Condition[] {
  if (MAYBE.has(name)) return [{ constant: undefined, text }];
  if (NEEDS_CONNECTION.has(name)) return [{ field: 'connection', oneOf: ['some'], negate: false, text }];
  if (name === 'reject' && item['type'] === 'icmp') return [isFamily('ip', text)];
  if (name === 'reject' && item['type'] === 'icmpv6') return [isFamily('ip6', text)];
  // `meta protocol ip` or `meta nfproto ipv4` before it is not printed (nft 1.0.6), where the table has both families.
  if (name === 'reject' && item['type'] === 'tcp reset' && /^(inet|netdev) /.test(scope)) {
    return [{ constant: undefined, text: `${text}, of which nft does not print the address family` }];
  }
  // A `tproxy ip` that meets IPv6 does not hand the packet over.
  if (name === 'tproxy' && (item['family'] === 'ip' || item['family'] === 'ip6')) {
    return [isFamily(item['family'], text)];
  }
  return [];
}

function toAction(name: string, item: Item, text: string): Action {
  const target = item['target'];
  if ((name === 'jump' || name === 'goto') && typeof target === 'string') return { do: name, chain: target };
  if (name === 'reject') return { do: item['type'] === 'tcp reset' ? 'reset' : 'drop' };
  return VERDICTS[name] ?? { do: 'unknown', text };
}

/** The element for all other keys (`*`) comes last, wherever it is printed. */
function parseChoices(vmap: Item, scope: Scope, text: string): Choice[] {
  const pairs = elementsOf(vmap['data'], scope)?.map((pair) => (Array.isArray(pair) ? pair : []));
  if (!pairs) return [{ when: { constant: undefined, text }, act: { do: 'unknown', text } }];
  const isRest = ([key]: Json[]) => key === '*';
  const sorted = [...pairs.filter((pair) => !isRest(pair)), ...pairs.filter(isRest)];
  return sorted.map(([key = null, verdict = null]) => {
    const [name = '', target = null] = Object.entries(toItem(verdict))[0] ?? [];
    const when = key === '*' ? { constant: true, text } : keyCondition(vmap['key'] ?? null, key, scope, text);
    return { when, act: toAction(name, toItem(target), text) };
  });
}

function keyCondition(left: Json, key: Json, scope: Scope, text: string): Condition {
  const field = fieldOf(left);
  const oneOf = field && toValues(field.field, key, scope);
  return oneOf ? { ...field, oneOf, negate: false, text } : { constant: undefined, text };
}

function elementsOf(data: Json | undefined, { sets, scope }: Scope): Json[] | undefined {
  if (typeof data !== 'string') return [toItem(data)['set'] ?? []].flat(1);
  const map = sets.get(`${scope} ${data.replace(/^@/, '')}`);
  return map && isSteady(map) ? [map['elem'] ?? []].flat(1) : undefined;
}
