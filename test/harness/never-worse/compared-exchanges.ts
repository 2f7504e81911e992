// The same connections in a pod without invalid-drop and in one with it: which are worse off.
import type { ConnectionFate } from '../netns/stray-kinds.ts';
import type { ChangedExchange } from './changed-exchange.ts';
import type { ObservedExchange } from './observe-exchanges.ts';

const BADNESS: Record<ConnectionFate, number> = { fine: 0, reset: 1, stuck: 2 };

/** One connection in both pods. */
export interface ComparedExchange {
  exchange: ChangedExchange;
  without: ObservedExchange;
  with: ObservedExchange;
}

/** Whether it is worse off with us. */
export const isWorse = (one: ComparedExchange) => BADNESS[one.with.fate] > BADNESS[one.without.fate];

/** A stray segment whose bytes are sent again: it ends no connection by what it says itself. */
export function mustBeFine({ exchange: { route, change } }: ComparedExchange): boolean {
  return route === 'redirected' && change.flags === undefined;
}

/** One line that counts outcomes. @param what the connections have in common */
export function summary(what: string, compared: ComparedExchange[]): string {
  const count = (side: 'without' | 'with') => {
    const of = (fate: ConnectionFate) => `${compared.filter((one) => one[side].fate === fate).length} ${fate}`;
    return `${of('fine')}, ${of('reset')}, ${of('stuck')}`;
  };
  return (
    `${compared.length} ${what}: without us ${count('without')}; with us ${count('with')}; ` +
    `worse ${compared.filter(isWorse).length}`
  );
}

/** What was changed of the connections that are not fine with us, and how many of each. */
export function leftHarmed(compared: ComparedExchange[]): string[] {
  const counts = new Map<string, number>();
  for (const { exchange, with: observed } of compared) {
    if (observed.fate === 'fine') continue;
    const { flags, ...numbers } = exchange.change;
    const what = [...(flags === undefined ? [] : [`flags ${flags}`]), ...Object.keys(numbers)].join(' and ');
    const key = `${exchange.route}, ${what}: ${observed.fate}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return [...counts].map(([key, count]) => `with us ${key} ${count}`).sort();
}

/** @param without what was observed of each without us, and `guarded` with us */
export function pairUp(
  exchanges: ChangedExchange[],
  without: ObservedExchange[],
  guarded: ObservedExchange[],
): ComparedExchange[] {
  return exchanges.flatMap((exchange, i) => {
    const [one, other] = [without[i], guarded[i]];
    return one && other ? [{ exchange, without: one, with: other }] : [];
  });
}
