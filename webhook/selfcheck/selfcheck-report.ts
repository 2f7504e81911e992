// GET /selfcheck: how the checks are run, and what their report looks like.

import { jsonPage, madeAtMostEvery, type Page } from '../../lib/page-server.ts';
import { textTable } from '../../lib/text-table.ts';

export interface CheckResult {
  name: string;
  ok: boolean;
  /** One sentence: what was seen, and if it is wrong, what to do. */
  detail: string;
  durationMs: number;
}

export interface SelfcheckReport {
  ok: boolean;
  version: string;
  time: string;
  checks: CheckResult[];
}

/** What one check says. A check that throws is not ok, with the error as its detail. */
export interface CheckFinding {
  ok: boolean;
  detail: string;
}

export type Check = [name: string, run: () => Promise<CheckFinding> | CheckFinding];

/** Runs all checks at once. Never rejects. */
export async function runChecks(checks: Check[], version: string, reasonOf: (error: unknown) => string) {
  const results = await Promise.all(
    checks.map(async ([name, run]): Promise<CheckResult> => {
      const began = performance.now();
      const finding = await Promise.resolve()
        .then(run)
        .catch((error: unknown) => ({ ok: false, detail: reasonOf(error) }));
      return { name, ...finding, durationMs: Math.round(performance.now() - began) };
    }),
  );
  return { ok: results.every(({ ok }) => ok), version, time: new Date().toISOString(), checks: results };
}

/** The report as a table for a terminal. */
export function reportTable({ checks }: SelfcheckReport): string {
  return textTable(
    checks.map(({ name, ok, detail, durationMs }) => [ok ? 'ok' : 'FAILED', name, `${durationMs} ms`, detail]),
    [2],
  );
}

// GET /selfcheck on the plain port.

/** Milliseconds. A run asks the API server some ten questions. */
const REPORT_FOR = 5000;

/**
 * The report for all who ask.
 * @param run is called once in five seconds at most
 * @param now milliseconds of a clock that never goes back
 */
export function sharedReport(run: () => Promise<SelfcheckReport>, now?: () => number): () => Promise<SelfcheckReport> {
  return madeAtMostEvery(REPORT_FOR, run, now);
}

export function selfcheckPage(report: () => Promise<SelfcheckReport>): () => Promise<Page> {
  return async () => {
    const data = await report();
    return jsonPage(data.ok ? 200 : 503, data);
  };
}
