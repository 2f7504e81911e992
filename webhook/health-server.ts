// Metrics and health over plain HTTP, on a separate port: the kubelet and Prometheus do not trust our CA.
import type { Registry } from 'prom-client';
import {
  jsonPage,
  madeAtMostEvery,
  makePageServer,
  type Page,
  type PageServer,
  type Pages,
} from '../lib/page-server.ts';

export interface HealthOptions {
  registry: Registry;
  /** Why no admissions should be sent here; empty: they should. */
  notReady(): string[];
  /** What else is served on the port. */
  pages?: Pages;
  /** Milliseconds of a clock that never goes back. */
  now?: () => number;
}

/** Milliseconds. A self-check may take 15 s; for all other pages the limit on connections matters. */
const DEADLINE = 20_000;
const CONNECTIONS = 128;
/** Milliseconds for which metrics stay as they are. */
const RENDERED_FOR = 1000;

/** Makes the server; it does not listen yet. Paths: /metrics, /healthz (200 while it answers at all), /readyz. */
export function buildHealthServer({ registry, notReady, pages = {}, now }: HealthOptions): PageServer {
  const metrics = async (): Promise<Page> => ({
    status: 200,
    type: registry.contentType,
    body: await registry.metrics(),
  });
  return makePageServer(
    {
      '/healthz': () => jsonPage(200, { ok: true }),
      '/readyz': () => {
        const reasons = notReady();
        return jsonPage(reasons.length === 0 ? 200 : 503, { ready: reasons.length === 0, reasons });
      },
      '/metrics': madeAtMostEvery(RENDERED_FOR, metrics, now),
      ...pages,
    },
    { deadline: DEADLINE, connections: CONNECTIONS },
  );
}
