// Metrics and health over plain HTTP, on a separate port: the kubelet and Prometheus do not trust our CA.
import fastify, { type FastifyInstance } from 'fastify';
import type { Registry } from 'prom-client';

export interface HealthOptions {
  registry: Registry;
  /** Why no admissions should be sent here; empty: they should. */
  notReady(): string[];
  /** What else is served on the port. */
  routes?: ((server: FastifyInstance) => void)[];
}

/** Makes the server; it does not listen yet. Paths: /metrics, /healthz (200 while it answers at all), /readyz. */
export function buildHealthServer({ registry, notReady, routes = [] }: HealthOptions) {
  const server = fastify({ logger: false });
  server.get('/healthz', () => ({ ok: true }));
  server.get('/readyz', (_request, reply) => {
    const reasons = notReady();
    return reply.code(reasons.length === 0 ? 200 : 503).send({ ready: reasons.length === 0, reasons });
  });
  server.get('/metrics', async (_request, reply) => {
    return reply.type(registry.contentType).send(await registry.metrics());
  });
  for (const add of routes) add(server);
  return server;
}
