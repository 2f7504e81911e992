// One figure of the bench: what was measured, against what, and whether the goal held.

/** As bench/results.json has it. */
export interface Figure {
  name: string;
  value: number;
  unit: string;
  /** What the value is held against, in the same unit and from the same run; null where there is nothing. */
  reference: number | null;
  /** `value / reference`, or the median of the pairs' ratios where samples came in pairs. */
  ratio: number | null;
  /** Which number must be where, such as `ratio <= 1.5`; null: for information. */
  goal: Goal | null;
  /** Whether the goal held; null where there is none. */
  ok: boolean | null;
}

export type Goal = `${'value' | 'ratio'} ${'<=' | '>='} ${number}`;

export interface Measured {
  name: string;
  value: number;
  unit: string;
  reference?: number;
  /** Where it is not `value / reference`. */
  ratio?: number;
  goal?: Goal;
}

/** Fills in the ratio and judges the goal, on the numbers as measured; then rounds to four significant digits. */
export function makeFigure({ name, value, unit, reference, ratio, goal }: Measured): Figure {
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
