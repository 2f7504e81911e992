// An nft match statement to conditions, for a TCP packet that has no connection.
import type { Comparison, Condition, Value } from './model.ts';
import { fieldOf, flagBits, requirementsOf } from './nft-field.ts';
import { type Item, type Json, toItem } from './nft-text.ts';
import { type Scope, toValues } from './nft-value.ts';

type Masked = Pick<Comparison, 'field' | 'mask'>;

/**
 * @param match {op, left, right}
 * @param text the match as people read it
 * @returns conditions that must all hold; `constant: undefined` for what is not understood
 */
export function parseMatch(match: Item, scope: Scope, text: string): Condition[] {
  const left = match['left'] ?? null;
  const right = match['right'] ?? null;
  const required = requirementsOf([left, right], text);
  const field = fieldOf(left);
  const compared = field && compare(field, String(match['op']), right, scope);
  if (!compared) return [...required, { constant: undefined, text }];
  const merged = match['op'] === '==' && 'range' in toItem(right);
  return [...required, ...(merged ? upperEnd({ ...compared, text }) : [{ ...compared, text }])];
}

/**
 * nft 1.0.6 prints `tcp dport >= 9003 tcp sport <= 41002` as `tcp sport 9003-41002`, whatever two fields they are: of
 * a range only the upper end is sure to be about the field that is printed.
 */
function upperEnd(range: Comparison): Condition[] {
  const oneOf = range.oneOf.map((value) =>
    typeof value === 'object' && 'from' in value ? { ...value, from: 0 } : value,
  );
  const maybe: Condition = { constant: undefined, text: range.text };
  return oneOf.some((value) => typeof value === 'object' && 'addressFrom' in value)
    ? [maybe]
    : [{ ...range, oneOf }, maybe];
}

function compare(field: Masked, op: string, right: Json, scope: Scope): Omit<Comparison, 'text'> | undefined {
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
      const range = typeof right === 'number' && field.mask === undefined ? toRange(op, right) : undefined;
      return range && { ...field, oneOf: [range], negate: false };
    }
  }
}

/** `tcp flags == [fin, syn]` is both flags at once; the packet's state is one bit and never equals several. */
function toEqual({ field }: Masked, right: Json, scope: Scope): Value[] | undefined {
  const bits = field === 'flags' ? flagBits(right) : undefined;
  if (bits !== undefined) return [bits];
  return Array.isArray(right) ? undefined : toValues(field, right, scope);
}

/** `in`: one of the bits is set, `!`: none is. */
function anyOf(read: Masked, right: Json, none: boolean, scope: Scope): Omit<Comparison, 'text'> | undefined {
  if (read.mask !== undefined) return undefined;
  if (read.field === 'ctstate') {
    const oneOf = toValues('ctstate', Array.isArray(right) ? { set: right } : right, scope);
    return oneOf && { ...read, oneOf, negate: none };
  }
  const mask = read.field === 'flags' ? flagBits(right) : undefined;
  return mask === undefined ? undefined : { field: 'flags', mask, oneOf: [0], negate: !none };
}

function toRange(op: string, value: number): { from: number; to: number } | undefined {
  const top = 0xffffffff;
  const ranges: Record<string, { from: number; to: number }> = {
    '<': { from: 0, to: value - 1 },
    '<=': { from: 0, to: value },
    '>': { from: value + 1, to: top },
    '>=': { from: value, to: top },
  };
  return ranges[op];
}
