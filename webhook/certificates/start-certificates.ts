// Puts together what keeps the certificate, for each of the places that it can come from.
import type { ClusterClient } from '../cluster/cluster-client.ts';
import { errors } from '../webhook-errors.ts';
import type { Metrics } from '../webhook-metrics.ts';
import type { Configuration } from '../webhook-options.ts';
import { trusts } from './ca-bundle.ts';
import { CONFIGURATION, CONFIGURATIONS_PATH, SECRETS_PATH } from './certificate-reconciler.ts';
import { fromDirectory, fromMemory, fromSecret, type Source } from './certificate-sources.ts';
import type { KeyPair } from './make-certificates.ts';
import { expiryTime, issueTime } from './read-certificates.ts';
import { SECRET } from './tls-secret.ts';
import { type HeldObject, holdObject } from './watched-object.ts';

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
  const kind = configuration.certificates;
  const { promise: first, resolve, reject } = Promise.withResolvers<KeyPair>();
  let current: KeyPair | undefined;
  let authority: string | undefined;
  let wasTrusted = false;

  const serve = (pair: KeyPair, ca?: string) => {
    current = pair;
    metrics.certificateExpiry.set(expiryTime(pair.cert) / 1000);
    metrics.certificateIssued.set(issueTime(pair.cert) / 1000);
    if (ca !== undefined) metrics.caExpiry.set(expiryTime(ca) / 1000);
    options.serve(pair);
    resolve(pair);
  };
  const lookAtBundle = () => {
    const trusted = current !== undefined && trusts(held?.object(), current.cert);
    metrics.bundleInPlace.set(trusted ? 1 : 0);
    wasTrusted ||= trusted;
  };
  const wake = () => {
    lookAtBundle();
    source.round().then(lookAtBundle, reject);
  };
  const hold = (from: ClusterClient, path: string, name: string, what: string) =>
    holdObject({ client: from, path, name, what, log, retryDelay, changed: wake });
  const held = client && hold(client, CONFIGURATIONS_PATH, CONFIGURATION, 'webhook configurations');
  const secret = client && kind === 'secret' ? hold(client, SECRETS_PATH, SECRET, 'secrets') : undefined;

  const source = pickSource();
  function pickSource(): Source {
    const common = { configuration, log, serve };
    if (kind === 'directory') return fromDirectory(common, wake);
    if (kind === 'memory') {
      return fromMemory(common, (ca) => {
        authority = ca;
      });
    }
    if (!client || !held || !secret) throw errors.CLUSTER_NEEDED('--certificates', kind);
    return fromSecret(common, { client, secret, configuration: held, metrics });
  }

  wake();
  const timer = setInterval(wake, ROUND_MS);
  return {
    first,
    current: () => current,
    ownAuthority: () => authority,
    configuration: held,
    notReady: () => [
      ...(current === undefined ? ['there is no certificate yet'] : []),
      ...(kind !== 'memory' && held && !wasTrusted ? [`the caBundle of ${CONFIGURATION} is not in place yet`] : []),
    ],
    async stop() {
      clearInterval(timer);
      source.stop();
      await Promise.all([held?.stop(), secret?.stop()]);
    },
  };
}
