// GET /selfcheck: how the checks are run, and what their report looks like.

import type { FastifyInstance } from 'fastify';
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

/** Requests at the same time share one run, so that clients cannot start any number of runs. */
export function selfcheckRoute(run: () => Promise<SelfcheckReport>) {
  let running: Promise<SelfcheckReport> | undefined;
  const shared = () => {
    running ??= run().finally(() => {
      running = undefined;
    });
    return running;
  };
  return (server: FastifyInstance) => {
    server.get('/selfcheck', async (_request, reply) => {
      const report = await shared();
      return reply.code(report.ok ? 200 : 503).send(report);
    });
  };
}
