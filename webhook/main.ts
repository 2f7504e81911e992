// The webhook's program. Only wires: reads options, builds the parts, connects them to signals and sockets.
import type { AddressInfo } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { VERSION } from '../init-image/contract.ts';
import { CodedError } from '../init-image/errors.ts';
import { helpText, readOptions } from '../init-image/options.ts';
import { backoffMs } from './backoff.ts';
import { writeCaFile } from './ca-file.ts';
import { makeCertificate } from './certificate.ts';
import type { Reflection } from './cluster/reflector.ts';
import { type Configuration, injectionSettings, OPTIONS } from './configuration.ts';
import { buildHealthServer } from './health.ts';
import { createMetrics } from './metrics.ts';
import { createNamespaceStore, namespaceLabels } from './namespaces.ts';
import { buildServer } from './server.ts';
import { createShutdown } from './shutdown.ts';

const USAGE = 'Usage: webhook.js [options]\n\nServes POST /mutate over HTTPS for a MutatingWebhookConfiguration.';
const CLOSE_MS = 10_000;

async function serve(configuration: Configuration): Promise<void> {
  const metrics = createMetrics(VERSION);
  const store = createNamespaceStore();
  const certificate = await makeCertificate(new Date());
  metrics.certificateExpiry.set(certificate.notAfter.getTime() / 1000);
  let watch: Reflection | undefined;

  const server = buildServer({
    settings: injectionSettings(configuration),
    metrics,
    labelsOf: store.labelsOf,
    draining: () => shutdown.draining(),
    tls: certificate,
    bodyLimit: configuration['body-limit'],
    logLevel: configuration['log-level'],
  });
  const health = buildHealthServer({
    registry: metrics.registry,
    notReady: () => [
      ...(shutdown.draining() ? ['stopping'] : []),
      ...(watch?.synced() === false ? ['the namespaces have not been listed yet'] : []),
    ],
  });
  const shutdown = createShutdown({
    drainMs: configuration['drain-seconds'] * 1000,
    closeMs: CLOSE_MS,
    close: async () => void (await Promise.all([server.close(), health.close(), watch?.stop()])),
    exit: (code) => process.exit(code),
    wait,
    log: server.log,
  });

  const { kubeconfig } = configuration;
  if (kubeconfig !== '') {
    const [{ connectCluster }, { reflect }] = await Promise.all([
      import('./cluster/client.ts'),
      import('./cluster/reflector.ts'),
    ]);
    const retryDelay = (failures: number) => backoffMs(failures, Math.random());
    const client = connectCluster(kubeconfig);
    watch = reflect({
      client,
      path: '/api/v1/namespaces',
      what: 'namespaces',
      project: namespaceLabels,
      sink: store,
      log: server.log,
      retryDelay,
    });
  }
  server.log.info({ path: await writeCaFile(configuration['ca-file'], certificate.ca) }, 'wrote the CA certificate');
  const host = configuration['listen-address'];
  await server.listen({ host, port: configuration.port, listenTextResolver: () => 'listening for admissions' });
  await health.listen({ host, port: configuration['metrics-port'] });
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void shutdown.signal(signal));
  const port = (address: AddressInfo | string | null) => (address as AddressInfo).port;
  const ports = { port: port(server.server.address()), metricsPort: port(health.server.address()) };
  server.log.info({ version: VERSION, host, ...ports }, 'serving');
}

async function main(): Promise<void> {
  const { values, given } = readOptions(OPTIONS, process.argv.slice(2), process.env, ['help']);
  if (given.has('help')) process.stdout.write(helpText(USAGE, OPTIONS));
  else await serve(values);
}

main().catch((error: unknown) => {
  const coded = error instanceof CodedError;
  process.stderr.write(`invalid-drop webhook: ${coded ? `${error.code}: ${error.message}` : String(error)}\n`);
  process.exit(coded ? 2 : 1);
});
