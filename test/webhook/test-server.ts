import { type AddressInfo, isIP } from 'node:net';
import { buildServer, type ServerOptions } from '../../webhook/admission-server.ts';
import { createMetrics } from '../../webhook/webhook-metrics.ts';
import { SETTINGS } from './admission/injection-settings.ts';

/** A server with its log lines and metrics at hand. It opens no socket unless told to listen. */
export function testServer(overrides: Partial<ServerOptions> = {}) {
  const lines: Record<string, unknown>[] = [];
  const metrics = createMetrics('1.0.0');
  const server = buildServer({
    settings: SETTINGS,
    metrics,
    namespaceOf: () => undefined,
    draining: () => false,
    bodyLimit: 8 * 1024 * 1024,
    logLevel: 'info',
    logStream: { write: (line) => void lines.push(JSON.parse(line)) },
    ...overrides,
  });
  return { server, lines, metrics };
}

/** A review of the API server's form around a request. */
export function reviewOf(request: object) {
  return { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request };
}

/** `host:port` of a server that listens. */
export function hostAndPort(address: AddressInfo | string | null): string {
  if (address === null || typeof address === 'string') throw new Error(`not listening on TCP: ${address}`);
  return `${isIP(address.address) === 6 ? `[${address.address}]` : address.address}:${address.port}`;
}
