// How the checks are run, and what their report looks like.

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
export interface Finding {
  ok: boolean;
  detail: string;
}

export type Check = [name: string, run: () => Promise<Finding> | Finding];

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
  const width = Math.max(...checks.map(({ name }) => name.length));
  const rows = checks.map(({ name, ok, detail, durationMs }) => {
    return `${ok ? 'ok    ' : 'FAILED'}  ${name.padEnd(width)}  ${String(durationMs).padStart(5)} ms  ${detail}`;
  });
  return `${rows.join('\n')}\n`;
}
