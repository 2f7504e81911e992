// Measures one section of a bench after the other.
import { type Figure, renderFigures } from './figure.ts';

/** What was measured, and which sections could not be, with the reason. */
export interface Measured {
  figures: Figure[];
  failures: string[];
}

/**
 * Runs the sections; one that fails leaves the others alone.
 * @param cleanUp called after each that has failed
 * @param stopped asked before each
 */
export async function measureSections(
  sections: Record<string, () => Promise<Figure[]>>,
  cleanUp: () => Promise<void>,
  stopped = () => false,
): Promise<Measured> {
  const figures: Figure[] = [];
  const failures: string[] = [];
  for (const [name, section] of Object.entries(sections)) {
    if (stopped()) break;
    try {
      figures.push(...(await section()));
    } catch (error) {
      failures.push(`${name} could not be measured: ${error instanceof Error ? error.message : error}`);
      await cleanUp();
    }
  }
  return { figures, failures };
}

/** The sections of these names; all where there are none. */
export function chosenSections<T>(sections: Record<string, T>, names: string[]): Record<string, T> {
  return Object.fromEntries(Object.entries(sections).filter(([name]) => names.length === 0 || names.includes(name)));
}

/** The table, how many goals were reached, and what failed. @param started time of performance.now() */
export function renderMeasured({ figures, failures }: Measured, started: number): string {
  const goals = figures.filter(({ ok }) => ok !== null);
  const reached = goals.filter(({ ok }) => ok);
  const seconds = Math.round((performance.now() - started) / 1000);
  const summary = `${reached.length} of ${goals.length} goals reached, in ${seconds} s.`;
  return [renderFigures(figures), '', summary, ...failures].join('\n');
}
