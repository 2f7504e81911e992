// Puts together what keeps the certificate, for each of the places that it can come from.
import { durationMs } from '../../init-image/options.ts';
import { writeCaFile } from '../ca-file.ts';
import type { ClusterClient } from '../cluster/client.ts';
import type { Configuration } from '../configuration.ts';
import { errors } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import { trusts } from './ca-bundle.ts';
import { createDirectoryReader, watchDirectory } from './directory.ts';
import { type HeldObject, holdObject } from './held-object.ts';
import { CONFIGURATION, CONFIGURATIONS_PATH, createKeeper, SECRETS_PATH } from './keeper.ts';
import { type KeyPair, makeCertificate } from './make.ts';
import { allServe, askPeers } from './peers.ts';
import type { Step } from './plan.ts';
import { expiryTime, issueTime } from './read.ts';
import { SECRET } from './secret.ts';

export interface Certificates {
  /** Resolves when there is one to serve; rejects where the CA file cannot be written. */
  first: Promise<KeyPair>;
  /** What is served now. */
  current(): KeyPair | undefined;
  /** The authority in memory, PEM; undefined where the cluster's caBundle is what counts. */
  ownAuthority(): string | undefined;
  /** The webhook configuration as last seen; undefined where there is no cluster. */
  configuration: HeldObject | undefined;
  /** Why no admissions should be sent here; empty: they should. */
  notReady(): string[];
  stop(): Promise<void>;
}

export interface CertificatesOptions {
  configuration: Configuration;
  /** undefined: no cluster is configured. */
  client: ClusterClient | undefined;
  metrics: Metrics;
  /** Called with each new certificate. */
  serve(pair: KeyPair): void;
  log: { info(details: object, message: string): void; warn(details: object, message: string): void };
  retryDelay(failures: number): number;
}

/** How often the clock is looked at. What changes in the cluster is acted upon at once. */
const ROUND_MS = 2000;

/** @throws CodedError CLUSTER_NEEDED */
export function startCertificates(options: CertificatesOptions): Certificates {
  const { configuration, client, metrics, log, retryDelay } = options;
  const source = configuration.certificates;
  if (source === 'secret' && client === undefined) throw errors.CLUSTER_NEEDED('--certificates', source);

  let current: KeyPair | undefined;
  let authority: string | undefined;
  let wasTrusted = false;
  const { promise: first, resolve, reject } = Promise.withResolvers<KeyPair>();
  const serve = (pair: KeyPair, ca?: string) => {
    current = pair;
    metrics.certificateExpiry.set(expiryTime(pair.cert) / 1000);
    metrics.certificateIssued.set(issueTime(pair.cert) / 1000);
    if (ca !== undefined) metrics.caExpiry.set(expiryTime(ca) / 1000);
    options.serve(pair);
    resolve(pair);
  };

  let round = async () => {};
  const wake = () => {
    lookAtBundle();
    void round();
  };
  const held = client && {
    configuration: hold(client, CONFIGURATIONS_PATH, CONFIGURATION, 'webhook configurations'),
    secret: source === 'secret' ? hold(client, SECRETS_PATH, SECRET, 'secrets') : undefined,
  };
  function hold(from: ClusterClient, path: string, name: string, what: string): HeldObject {
    return holdObject({ client: from, path, name, what, log, retryDelay, changed: () => wake() });
  }
  function lookAtBundle(): void {
    const trusted = current !== undefined && trusts(held?.configuration.object(), current.cert);
    metrics.bundleInPlace.set(trusted ? 1 : 0);
    wasTrusted ||= trusted;
  }

  async function makeInMemory(): Promise<void> {
    const { ca, ...pair } = await makeCertificate(new Date());
    authority = ca;
    log.info({ path: await writeCaFile(configuration['ca-file'], ca) }, 'wrote the CA certificate');
    serve(pair, ca);
  }

  let unwatch = () => {};
  if (source === 'memory') {
    makeInMemory().catch(reject);
  } else if (source === 'directory') {
    const path = configuration['certificate-directory'];
    round = createDirectoryReader({ path, serve, log });
    unwatch = watchDirectory(path, wake);
  } else if (client && held?.secret) {
    round = createKeeper({
      client,
      secret: held.secret,
      configuration: held.configuration,
      lives: {
        authority: durationMs(configuration['ca-life']),
        serving: durationMs(configuration['certificate-life']),
      },
      servedByAll: async (print) => allServe(await askPeers(client, configuration.port), print),
      serve,
      did: (what) => count(what, metrics),
      log,
      now: Date.now,
    });
  }
  wake();
  const timer = setInterval(wake, ROUND_MS);
  return {
    first,
    current: () => current,
    ownAuthority: () => authority,
    configuration: held?.configuration,
    notReady: () => [
      ...(current === undefined ? ['there is no certificate yet'] : []),
      ...(source !== 'memory' && held && !wasTrusted ? [`the caBundle of ${CONFIGURATION} is not in place yet`] : []),
    ],
    async stop() {
      clearInterval(timer);
      unwatch();
      await Promise.all([held?.configuration.stop(), held?.secret?.stop()]);
    },
  };
}

function count(what: Step | 'bundle', { rotations, bundleUpdates }: Metrics): void {
  if (what === 'bundle') bundleUpdates.inc();
  if (what === 'begin' || what === 'switch' || what === 'renew') rotations.inc({ what: 'serving' });
  if (what === 'begin' || what === 'switch') rotations.inc({ what: 'ca' });
}
