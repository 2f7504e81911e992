// The bench's output: the table that people read and the file that programs read.
import { renderTable } from '../demo/table.ts';
import type { Figure } from './figure.ts';

const HEADINGS = ['figure', 'value', 'unit', 'reference', 'ratio', 'goal', ''];

/** The table, one line a figure, no trailing newline. */
export function renderFigures(figures: Figure[]): string {
  const rows = figures.map(({ name, value, unit, reference, ratio, goal, ok }) => [
    name,
    value,
    unit,
    reference ?? '',
    ratio ?? '',
    goal ?? '',
    ok === null ? '' : ok ? 'ok' : 'NOT REACHED',
  ]);
  return renderTable(HEADINGS, rows);
}

/** Text of bench/results.json: an array, one figure a line. */
export function renderResults(figures: Figure[]): string {
  return `[\n${figures.map((figure) => `  ${JSON.stringify(figure)}`).join(',\n')}\n]\n`;
}
