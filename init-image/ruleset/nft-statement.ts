// One nft statement to steps, for a packet that has no connection. A statement that is not listed is "unknown".

import type { Action, Step } from './model.ts';
import { parseMarkValue } from './nft-mark.ts';
import { fieldOf, parseMatch } from './nft-match.ts';
import { type Scope, toValues } from './nft-value.ts';

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
type Item = Record<string, Json>;

/** Statements that let the packet go on and change nothing that a verdict depends on. */
const PASSES = new Set([
  'counter',
  'log',
  'ct helper',
  'ct timeout',
  'ct expectation',
  'dup',
  'last',
  'secmark',
  'nftrace',
  'continue',
  'connlimit',
]);

/** Statements that end the rule for some packets and not for others. */
const MAYBE = new Set(['limit', 'quota', 'set', 'map', 'meter', 'ct count']);

const VERDICTS: Record<string, Action> = {
  accept: { do: 'accept' },
  drop: { do: 'drop' },
  return: { do: 'return' },
  notrack: { do: 'notrack' },
  tproxy: { do: 'tproxy', ends: false },
};

/**
 * @param statement an element of a rule's `expr`
 * @returns steps; none for what cannot matter. `xt` gives a "maybe" here: only iptables-save can say more
 */
export function parseStatement(statement: Item, scope: Scope): Step[] {
  const [name = '', value = null] = Object.entries(statement)[0] ?? [];
  if (name === 'xt') return parseOpaque(value as Item);
  if (name === 'match') return parseMatch(value as Item, scope, describe(statement)).map((when) => ({ when }));
  if (name === 'vmap') return parseVerdictMap(value as Item, scope, describe(statement));
  if (name === 'mangle') return parseMangle(value as Item);
  // nft_flow_offload_eval (net/netfilter/nft_flow_offload.c) ends the rule where the packet has no connection.
  if (name === 'flow') return [{ when: { constant: false, text: describe(statement) } }];
  if (MAYBE.has(name)) return [{ when: { constant: undefined, text: describe(statement) } }];
  if (PASSES.has(name)) return [];
  return [{ act: toAction(name, value, statement) }];
}

function parseOpaque(extension: Item): Step[] {
  const text = describe({ xt: extension });
  return extension['type'] === 'match' ? [{ when: { constant: undefined, text } }] : [{ act: { do: 'unknown', text } }];
}

function toAction(name: string, value: Json, statement: Item): Action {
  const target = (value as Item | null)?.['target'];
  if ((name === 'jump' || name === 'goto') && typeof target === 'string') return { do: name, chain: target };
  if (name === 'reject') return (value as Item | null)?.['type'] === 'tcp reset' ? { do: 'reset' } : { do: 'drop' };
  return VERDICTS[name] ?? { do: 'unknown', text: describe(statement) };
}

function parseMangle(value: Item): Step[] {
  const key = (value['key'] ?? {}) as Item;
  if ('payload' in key) return [{ act: { do: 'rewrite' } }];
  const meta = (key['meta'] as Item | undefined)?.['key'];
  // `ct ... set` does nothing where the packet has no connection; of meta keys only the mark can be matched here.
  if (meta !== 'mark') return [];
  const mark = parseMarkValue(value['value'] ?? null);
  return [{ act: mark ? { do: 'mark', ...mark } : { do: 'mark', and: Number.NaN, xor: Number.NaN } }];
}

function parseVerdictMap(value: Item, scope: Scope, text: string): Step[] {
  const field = fieldOf(value['key'] ?? null);
  const data = value['data'] as Item | string | undefined;
  const named = typeof data === 'string' ? scope.sets.get(`${scope.scope} ${data.slice(1)}`)?.['elem'] : data?.['set'];
  const choices = [named ?? []].flat().map((pair) => {
    const [key = null, verdict = null] = Array.isArray(pair) ? pair : [];
    const oneOf = field && toValues(field.field, key, scope);
    const [name = '', target = null] = Object.entries((verdict ?? {}) as Item)[0] ?? [];
    const when = oneOf ? { ...field, oneOf, negate: false, text } : { constant: undefined, text };
    return {
      when,
      act: name === 'continue' ? ({ do: 'continue' } as const) : toAction(name, target, { [name]: target }),
    };
  });
  return [{ choose: choices }, { when: { constant: false, text: 'no element matched' } }];
}

/** The statement in one line, near to what nft prints as text: for people, not for parsing. */
export function describe(value: Json): string {
  if (value === null || typeof value !== 'object') return String(value);
  if (Array.isArray(value)) return `{ ${value.map(describe).join(', ')} }`;
  const [name = '', body = null] = Object.entries(value)[0] ?? [];
  const item = (typeof body === 'object' && body !== null && !Array.isArray(body) ? body : {}) as Item;
  switch (name) {
    case 'match': {
      const operator = item['op'] === '==' || item['op'] === 'in' ? '' : `${item['op']} `;
      return `${describe(item['left'] ?? null)} ${operator}${describe(item['right'] ?? null)}`;
    }
    case 'meta':
      return `meta ${item['key']}`;
    case 'ct':
      return `ct ${item['key']}`;
    case 'payload':
      return `${item['protocol'] ?? '@raw'} ${item['field'] ?? ''}`.trim();
    case 'set':
      return describe(body);
    case 'counter':
      return 'counter';
    case 'prefix':
      return `${item['addr']}/${item['len']}`;
    case 'range':
      return [body].flat().map(describe).join('-');
    case 'jump':
    case 'goto':
      return `${name} ${item['target']}`;
    case 'vmap':
      return `${describe(item['key'] ?? null)} vmap ${describe(item['data'] ?? null)}`;
    case 'mangle':
      return `${describe(item['key'] ?? null)} set ${describe(item['value'] ?? null)}`;
    case 'xt':
      return `xt ${item['type']} ${item['name']}`;
    default:
      return body === null ? name : `${name} ${JSON.stringify(body)}`;
  }
}
