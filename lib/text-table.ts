// Tables for terminals.
import { printable } from './printable.ts';

/**
 * @param table cells as text, the headings first; what a terminal does not show is escaped
 * @param right numbers of the columns that are aligned to the right
 * @returns lines with columns two spaces apart
 */
export function textTable(table: string[][], right: readonly number[] = []): string {
  const rows = table.map((row) => row.map(printable));
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const pad = (cell: string, column: number) =>
    right.includes(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0);
  return `${rows.map((row) => row.map(pad).join('  ').trimEnd()).join('\n')}\n`;
}

/** @returns the rows under ruled headings, columns of numbers to the right; no newline at the end */
export function renderTable(headings: string[], rows: (string | number)[][]): string {
  const right = headings.flatMap((_, column) => (rows.every((row) => isNumeric(row[column])) ? [column] : []));
  const cells = rows.map((row) => row.map(String));
  const rule = headings.map((heading, i) =>
    '-'.repeat(Math.max(heading.length, ...cells.map((row) => row[i]?.length ?? 0))),
  );
  return textTable([headings, rule, ...cells], right).slice(0, -1);
}

const isNumeric = (cell: string | number | undefined) => typeof cell === 'number' || cell === '';
