// The webhook's program. Only wires: reads options, builds the parts, connects them to signals and sockets.
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { reasonOf } from '../lib/cluster/api-error.ts';
import type { ClusterClient } from '../lib/cluster/cluster-client.ts';
import { backoffMs } from '../lib/cluster/reflector.ts';
import { VERSION } from '../lib/contract.ts';
import { CodedError } from '../lib/errors.ts';
import { askLocal } from '../lib/local-request.ts';
import { helpText, readOptions } from '../lib/options.ts';
import { printable, printableLines } from '../lib/printable.ts';
import { buildServer, useCertificate } from './admission-server.ts';
import { startCertificates } from './certificates/start-certificates.ts';
import { coveragePage } from './coverage/coverage-report.ts';
import { buildHealthServer } from './health-server.ts';
import { canaryAddition } from './selfcheck/canary.ts';
import {
  reportTable,
  runChecks,
  type SelfcheckReport,
  selfcheckPage,
  sharedReport,
} from './selfcheck/selfcheck-report.ts';
import { type EnabledFeatures, selfchecks } from './selfcheck/selfchecks.ts';
import { createShutdown } from './shutdown.ts';
import { certificateFacts, statusPage } from './status-page/status-page.ts';
import { startWatches, type Watches } from './watches.ts';
import { errors } from './webhook-errors.ts';
import { logDestination } from './webhook-log.ts';
import { createMetrics } from './webhook-metrics.ts';
import { type Configuration, injectionSettings, OPTIONS } from './webhook-options.ts';

const USAGE = `Usage: webhook.js [options]
       webhook.js selfcheck [options]
       webhook.js coverage [options]

Serves POST /mutate over HTTPS for a MutatingWebhookConfiguration.
selfcheck asks the webhook that runs on this host, prints what it checked, and exits with 0 (all is well) or 1.
coverage prints which pods of opted-in namespaces are guarded, and why the others are not.`;
const COMMANDS = ['selfcheck', 'coverage'] as const;
const CLOSE_MS = 10_000;
const STDOUT = 1;
/** What small buffers share. Node 26 takes 64 KiB, of which one long-lived buffer, such as a CA, keeps all. */
const BUFFER_POOL = 8192;

async function serve(configuration: Configuration): Promise<void> {
  Buffer.poolSize = BUFFER_POOL;
  const metrics = createMetrics(VERSION);
  const settings = injectionSettings(configuration);
  const features = featuresOf(configuration);
  let watches: Watches | undefined;
  const retryDelay = (failures: number) => backoffMs(failures, Math.random());

  const server = buildServer({
    settings,
    metrics,
    namespaceOf: (namespace) => watches?.namespaceOf(namespace),
    draining: () => shutdown.draining(),
    tls: {},
    bodyLimit: configuration['body-limit'],
    logLevel: configuration['log-level'],
    logStream: logDestination(STDOUT),
  });
  const { log } = server;
  const client = await connect(configuration.kubeconfig);
  watches = startWatches({
    client,
    features,
    collect: configuration.collect === 'enabled',
    settings,
    metrics,
    log,
    retryDelay,
  });
  const certificates = startCertificates({
    configuration,
    client,
    metrics,
    serve: (pair) => useCertificate(server, pair),
    log,
    retryDelay,
  });
  const checks = selfchecks({
    certificates,
    client,
    port: () => portOf(server.server.address()),
    adds: canaryAddition(settings),
    features,
    watches: watches.synced,
  });
  const selfcheckReport = sharedReport(() => runChecks(checks, VERSION, reasonOf));
  const health = buildHealthServer({
    registry: metrics.registry,
    notReady: () => [
      ...(shutdown.draining() ? ['stopping'] : []),
      ...(watches?.synced['namespaces']?.() === false ? ['the namespaces have not been listed yet'] : []),
      ...certificates.notReady(),
    ],
    pages: {
      '/': statusPage({
        version: VERSION,
        coverage: () => watches?.coverage(),
        collection: watches.collection,
        selfcheck: selfcheckReport,
        certificates: () => certificateFacts(certificates, configuration.certificates),
      }),
      '/selfcheck': selfcheckPage(selfcheckReport),
      '/coverage': coveragePage(() => watches?.coverage()),
    },
  });
  const shutdown = createShutdown({
    drainMs: configuration['drain-seconds'] * 1000,
    closeMs: CLOSE_MS,
    close: async () => void (await Promise.all([server.close(), health.close(), watches?.stop(), certificates.stop()])),
    exit: (code) => process.exit(code),
    wait,
    log,
  });
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void shutdown.signal(signal));
  const host = configuration['listen-address'];
  await once(health.server.listen(configuration['metrics-port'], host), 'listening');
  await certificates.first;
  await server.listen({ host, port: configuration.port, listenTextResolver: () => 'listening for admissions' });
  const ports = { port: portOf(server.server.address()), metricsPort: portOf(health.server.address()) };
  log.info({ version: VERSION, host, ...ports }, 'serving');
}

const portOf = (address: AddressInfo | string | null) => (address as AddressInfo).port;

function featuresOf({ certificates, coverage, events }: Configuration): EnabledFeatures {
  const covers = coverage === 'enabled';
  return { secret: certificates === 'secret', coverage: covers, events: covers && events === 'enabled' };
}

/** The client library is large: it is loaded only where there is a cluster. */
async function connect(kubeconfig: string): Promise<ClusterClient | undefined> {
  if (kubeconfig === '') return undefined;
  const { connectCluster } = await import('../lib/cluster/cluster-client.ts');
  return connectCluster(kubeconfig);
}

const ask = (port: number, path: string, accept: string) => askLocal(port, path, accept, errors.WEBHOOK_UNREACHABLE);

/** @returns exit code: 0 all is well, 1 a check failed */
async function selfcheck(port: number, print: (text: string) => void): Promise<number> {
  const report = JSON.parse(await ask(port, '/selfcheck', 'application/json')) as SelfcheckReport;
  print(reportTable(report));
  return report.ok ? 0 : 1;
}

async function main(): Promise<void> {
  const argv = process.argv.slice(2);
  const print = (text: string) => void process.stdout.write(text);
  const command = COMMANDS.find((name) => name === argv[0]);
  const { values, given } = readOptions(OPTIONS, command ? argv.slice(1) : argv, process.env, ['help']);
  if (given.has('help')) print(helpText(USAGE, OPTIONS));
  else if (command === 'selfcheck') process.exitCode = await selfcheck(values['metrics-port'], print);
  else if (command === 'coverage') print(printableLines(await ask(values['metrics-port'], '/coverage', 'text/plain')));
  else await serve(values);
}

main().catch((error: unknown) => {
  const coded = error instanceof CodedError;
  process.stderr.write(
    `invalid-drop webhook: ${coded ? `${error.code}: ${error.message}` : printable(String(error))}\n`,
  );
  process.exit(coded ? 2 : 1);
});
