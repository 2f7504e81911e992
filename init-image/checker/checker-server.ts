// The checker's pages: read only, and cheap to answer, because anybody in the cluster can ask.
import type { CheckerReport } from '../../lib/checker/checker-report.ts';
import { METRICS_TYPE } from '../../lib/metric-text.ts';
import { madeAtMostEvery, makePageServer, type Page, type PageServer } from '../../lib/page-server.ts';
import { renderMetrics } from './checker-metrics.ts';

/** Milliseconds. A probe waits for 2 s, a scraper for 10 s at most. */
const DEADLINE = 5000;
const CONNECTIONS = 128;
/** Milliseconds for which the pages that need work stay as they are. */
const RENDERED_FOR = 1000;

/**
 * @param report makes the report anew, once a second at most
 * @param notReady why the pod is not ready, or undefined where it is
 * @param now milliseconds of a clock that never goes back
 * @returns a server that does not listen yet
 */
export function makeCheckerServer(
  report: () => CheckerReport,
  notReady: () => string | undefined,
  now?: () => number,
): PageServer {
  const selfcheck = (): Page => {
    const data = report();
    const body = `${JSON.stringify(data, null, 2)}\n`;
    return { status: data.guarded ? 200 : 503, type: 'application/json', body };
  };
  const metrics = (): Page => ({ status: 200, type: METRICS_TYPE, body: renderMetrics(report()) });
  return makePageServer(
    {
      '/healthz': () => ({ status: 200, body: 'ok\n' }),
      '/readyz': () => {
        const reason = notReady();
        return { status: reason === undefined ? 200 : 503, body: `${reason ?? 'ok'}\n` };
      },
      '/selfcheck': madeAtMostEvery(RENDERED_FOR, selfcheck, now),
      '/metrics': madeAtMostEvery(RENDERED_FOR, metrics, now),
    },
    { deadline: DEADLINE, connections: CONNECTIONS },
  );
}
