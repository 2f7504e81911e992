// The figures of the bench: what was measured, compared with what, whether the goal held; and their output as a table
// and as JSON.
import { renderTable } from '../lib/text-table.ts';

/** As bench/results.json has it. */
export interface Figure {
  name: string;
  value: number;
  unit: string;
  /** What the value is compared with, in the same unit and from the same run; null where there is nothing. */
  reference: number | null;
  /** `value / reference`, or the median of the pairs' ratios where samples came in pairs. */
  ratio: number | null;
  /** The goal, such as `ratio <= 1.5`; null: for information. */
  goal: Goal | null;
  /** Whether the goal held; null where there is none. */
  ok: boolean | null;
}

export type Goal = `${'value' | 'ratio'} ${'<=' | '>='} ${number}`;

export interface FigureInput {
  name: string;
  value: number;
  unit: string;
  reference?: number;
  /** Where it is not `value / reference`. */
  ratio?: number;
  goal?: Goal;
}

/** Fills in the ratio and judges the goal, on the numbers as measured; then rounds to four significant digits. */
export function makeFigure({ name, value, unit, reference, ratio, goal }: FigureInput): Figure {
  const actual = ratio ?? (reference === undefined ? undefined : value / reference);
  return {
    name,
    value: round(value),
    unit,
    reference: reference === undefined ? null : round(reference),
    ratio: actual === undefined ? null : round(actual),
    goal: goal ?? null,
    ok: goal === undefined ? null : holds(goal, value, actual),
  };
}

function holds(goal: Goal, value: number, ratio: number | undefined): boolean {
  const [which, relation, limit] = goal.split(' ');
  const number = which === 'ratio' ? ratio : value;
  if (number === undefined) return false;
  return relation === '<=' ? number <= Number(limit) : number >= Number(limit);
}

function round(number: number): number {
  return Number(number.toPrecision(4));
}

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
