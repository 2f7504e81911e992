// Wires the source of the serving certificate, the watches that it needs, and its metrics.

import type { ClusterClient } from '../../lib/cluster/cluster-client.ts';
import { WEBHOOK_CONFIGURATION } from '../../lib/contract.ts';
import type { StructuredLog } from '../../lib/log.ts';
import { errors } from '../webhook-errors.ts';
import type { Metrics } from '../webhook-metrics.ts';
import type { Configuration } from '../webhook-options.ts';
import { trusts } from './ca-bundle.ts';
import { CONFIGURATIONS_PATH, SECRETS_PATH } from './certificate-reconciler.ts';
import { fromDirectory, fromMemory, fromSecret, type Source } from './certificate-sources.ts';
import type { KeyPair } from './make-certificates.ts';
import { expiryTime, issueTime } from './read-certificates.ts';
import { SECRET } from './tls-secret.ts';
import { type WatchedObject, watchObject } from './watched-object.ts';

export interface Certificates {
  /** Resolves when there is one to serve; rejects where the CA file cannot be written. */
  first: Promise<KeyPair>;
  /** What is served now. */
  current(): KeyPair | undefined;
  /** The CA in memory, PEM; undefined where clients trust the cluster's caBundle. */
  ownCa(): string | undefined;
  /** The webhook configuration as last seen; undefined where there is no cluster. */
  configuration: WatchedObject | undefined;
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
  log: StructuredLog;
  retryDelay(failures: number): number;
}

/** How often the expiry times are checked. Changes in the cluster are acted upon at once. */
const RECONCILE_MS = 2000;

/** @throws CodedError CLUSTER_NEEDED */
export function startCertificates(options: CertificatesOptions): Certificates {
  const { configuration, client, metrics, log, retryDelay } = options;
  const kind = configuration.certificates;
  const { promise: first, resolve, reject } = Promise.withResolvers<KeyPair>();
  let current: KeyPair | undefined;
  let ownCa: string | undefined;
  let wasTrusted = false;

  const serve = (pair: KeyPair, ca?: string) => {
    current = pair;
    metrics.certificateExpiry.set(expiryTime(pair.cert) / 1000);
    metrics.certificateIssued.set(issueTime(pair.cert) / 1000);
    if (ca !== undefined) metrics.caExpiry.set(expiryTime(ca) / 1000);
    options.serve(pair);
    resolve(pair);
  };
  const checkBundle = () => {
    const trusted = current !== undefined && trusts(watched?.object(), current.cert);
    metrics.bundleInPlace.set(trusted ? 1 : 0);
    wasTrusted ||= trusted;
  };
  const wake = () => {
    checkBundle();
    source.reconcile().then(checkBundle, reject);
  };
  const watchFor = (from: ClusterClient, path: string, name: string, what: string) =>
    watchObject({ client: from, path, name, what, log, retryDelay, changed: wake });
  const watched = client && watchFor(client, CONFIGURATIONS_PATH, WEBHOOK_CONFIGURATION, 'webhook configurations');
  const secret = client && kind === 'secret' ? watchFor(client, SECRETS_PATH, SECRET, 'secrets') : undefined;

  const source = pickSource();
  function pickSource(): Source {
    const common = { configuration, log, serve };
    if (kind === 'directory') return fromDirectory(common, wake);
    if (kind === 'memory') {
      return fromMemory(common, (ca) => {
        ownCa = ca;
      });
    }
    if (!client || !watched || !secret) throw errors.CLUSTER_NEEDED('--certificates', kind);
    return fromSecret(common, { client, secret, configuration: watched, metrics });
  }

  wake();
  const timer = setInterval(wake, RECONCILE_MS);
  return {
    first,
    current: () => current,
    ownCa: () => ownCa,
    configuration: watched,
    notReady: () => [
      ...(current === undefined ? ['there is no certificate yet'] : []),
      ...(kind !== 'memory' && watched && !wasTrusted
        ? [`the caBundle of ${WEBHOOK_CONFIGURATION} is not in place yet`]
        : []),
    ],
    async stop() {
      clearInterval(timer);
      source.stop();
      await Promise.all([watched?.stop(), secret?.stop()]);
    },
  };
}
