// Losses of the rule to figures.
import { type Figure, makeFigure } from './figure.ts';
import { median } from './statistics.ts';

export interface Loss {
  way: string;
  /** From the loss to the repair; undefined where it was not repaired. */
  milliseconds: number | undefined;
}

/** Milliseconds that a look and a repair may take on top of the schedule that they wait for. */
const MARGIN = 500;

/**
 * @param goal the greatest median, or the schedule within which every loss is to be repaired, in milliseconds
 * @returns how many were repaired, the time that the goal is about, and the median of each way
 */
export function describeDrift(name: string, losses: Loss[], goal: { median: number } | { schedule: number }): Figure[] {
  const repaired = makeFigure({
    name: `${name}, repaired`,
    value: times(losses).length,
    unit: `of ${losses.length}`,
    reference: losses.length,
    goal: 'ratio >= 1',
  });
  const ways = [...new Set(losses.map(({ way }) => way))];
  const perWay = ways.flatMap((way) => {
    const some = times(losses.filter((loss) => loss.way === way));
    return some.length === 0 ? [] : [makeFigure({ name: `${name}, ${way}`, value: median(some), unit: 'ms median' })];
  });
  return [repaired, ...judgeTimes(name, times(losses), goal), ...perWay];
}

function judgeTimes(name: string, all: number[], goal: { median: number } | { schedule: number }): Figure[] {
  if (all.length === 0) return [];
  if ('median' in goal) {
    const [value, limit] = [median(all), `value <= ${goal.median}` as const];
    return [
      makeFigure({ name: `${name}, median`, value, unit: 'ms', goal: limit }),
      makeFigure({ name: `${name}, longest`, value: Math.max(...all), unit: 'ms' }),
    ];
  }
  const limit = `value <= ${goal.schedule + MARGIN}` as const;
  return [
    makeFigure({ name: `${name}, median`, value: median(all), unit: 'ms' }),
    makeFigure({
      name: `${name}, longest`,
      value: Math.max(...all),
      unit: 'ms',
      reference: goal.schedule,
      goal: limit,
    }),
  ];
}

function times(losses: Loss[]): number[] {
  return losses.flatMap(({ milliseconds }) => (milliseconds === undefined ? [] : [milliseconds]));
}
