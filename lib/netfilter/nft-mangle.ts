// nft's `... set ...` statements to steps.
import type { Step } from './model.ts';
import { requirementsOf } from './nft-field.ts';
import { parseMarkValue } from './nft-mark.ts';
import { describe, type Item, toItem } from './nft-text.ts';

/** Header fields that a socket does not look at. */
const HARMLESS = new Set(['ip ttl', 'ip dscp', 'ip ecn', 'ip6 hoplimit', 'ip6 dscp', 'ip6 ecn', 'ip6 flowlabel']);
const HARMLESS_META = new Set(['priority', 'nftrace', 'secmark']);

/**
 * @param mangle {key, value}: what is set, and to what
 * @returns steps: what must hold for the rule to go on, then the change, if a verdict depends on it
 */
export function parseMangle({ key, value }: Item, text: string): Step[] {
  const required = requirementsOf([value ?? null, 'payload' in toItem(key) ? (key ?? null) : null], text);
  return [...required.map((when) => ({ when })), ...change(toItem(key), value ?? null, text)];
}

function change(key: Item, value: Parameters<typeof parseMarkValue>[0], text: string): Step[] {
  const meta = toItem(key['meta'])['key'];
  const ct = toItem(key['ct'])['key'];
  if (meta === 'mark') {
    const known = parseMarkValue(value);
    // What is not understood may end the rule as well.
    return known
      ? [{ act: { do: 'mark', change: known } }]
      : [{ when: { constant: undefined, text } }, { act: { do: 'mark' } }];
  }
  // Every other `ct ... set` does nothing where the packet has no connection (nft_ct_set_eval, nft_ct.c).
  if (ct !== undefined) return ct === 'zone' ? [{ act: { do: 'template' } }] : [];
  if (HARMLESS_META.has(String(meta)) || HARMLESS.has(describe(key))) return [];
  if ('tcp option' in key) return [{ when: { constant: undefined, text } }];
  return [{ act: { do: 'rewrite' } }];
}
