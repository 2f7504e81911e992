// Arithmetic on the packet mark as nft writes it, brought to one form.
import type { MarkChange } from './model.ts';
import type { Json } from './nft-text.ts';

/**
 * @param value nested `&`, `|` and `^` of the old mark and constants (libnftables-json(5), BINARY OPERATION)
 * @returns the same as one change, or undefined where something else takes part
 */
export function parseMarkValue(value: Json): MarkChange | undefined {
  if (typeof value === 'number') return { and: 0, xor: value >>> 0 };
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return undefined;
  const [operator = '', operands = null] = Object.entries(value)[0] ?? [];
  if (operator === 'meta') return isMark(operands) ? { and: 0xffffffff, xor: 0 } : undefined;
  if (!Array.isArray(operands) || operands.length !== 2) return undefined;
  const change = parseMarkValue(operands[0] ?? null);
  const constant = operands[1];
  return change && typeof constant === 'number' ? applyTo(change, operator, constant) : undefined;
}

function isMark(operand: Json): boolean {
  return typeof operand === 'object' && operand !== null && !Array.isArray(operand) && operand['key'] === 'mark';
}

function applyTo({ and, xor }: MarkChange, operator: string, constant: number): MarkChange | undefined {
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
