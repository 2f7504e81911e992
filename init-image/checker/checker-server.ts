// The checker's HTTP server: four pages, read only, cheap to answer, because anybody in the cluster can ask.
import { createServer, type Server, type ServerResponse } from 'node:http';
import { renderMetrics } from './checker-metrics.ts';
import type { CheckerReport } from './checker-report.ts';

const MAX_CONNECTIONS = 64;
const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/**
 * @param report makes the report anew for each request
 * @param notReady why the pod is not ready, or undefined where it is
 * @returns a server that does not listen yet
 */
export function makeCheckerServer(report: () => CheckerReport, notReady: () => string | undefined): Server {
  const pages: Record<string, (response: ServerResponse) => void> = {
    '/healthz': (response) => send(response, 200, 'ok\n'),
    '/readyz': (response) => {
      const reason = notReady();
      send(response, reason === undefined ? 200 : 503, `${reason ?? 'ok'}\n`);
    },
    '/selfcheck': (response) => {
      const data = report();
      send(response, data.guarded ? 200 : 503, `${JSON.stringify(data, null, 2)}\n`, 'application/json');
    },
    '/metrics': (response) => send(response, 200, renderMetrics(report()), METRICS_TYPE),
  };
  const server = createServer(
    { requestTimeout: 5000, headersTimeout: 5000, keepAliveTimeout: 30_000 },
    (request, response) => {
      const page = pages[(request.url ?? '').split('?')[0] ?? ''];
      if (request.method !== 'GET' && request.method !== 'HEAD') send(response, 405, 'only GET\n');
      else if (!page) send(response, 404, `no such page: ${Object.keys(pages).join(' ')}\n`);
      else answer(page, response);
    },
  );
  server.maxConnections = MAX_CONNECTIONS;
  return server;
}

/** No request may end the checker. */
function answer(page: (response: ServerResponse) => void, response: ServerResponse): void {
  try {
    page(response);
  } catch {
    send(response, 500, 'no report can be made\n');
  }
}

function send(response: ServerResponse, status: number, body: string, type = 'text/plain; charset=utf-8'): void {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' }).end(body);
}
