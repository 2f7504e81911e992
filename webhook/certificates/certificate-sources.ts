// Where the serving certificate comes from: memory, a folder or the shared Secret.

import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { ClusterClient } from '../../lib/cluster/cluster-client.ts';
import type { StructuredLog } from '../../lib/log.ts';
import { durationMs } from '../../lib/options.ts';
import type { Metrics } from '../webhook-metrics.ts';
import type { Configuration } from '../webhook-options.ts';
import { createDirectoryReader, watchDirectory } from './certificate-directory.ts';
import { createCertificateReconciler } from './certificate-reconciler.ts';
import { type KeyPair, makeCertificate } from './make-certificates.ts';
import { allServe, askPeers } from './peers.ts';
import type { RotationStep } from './rotation-plan.ts';
import type { WatchedObject } from './watched-object.ts';

export interface Source {
  /** Does what is to be done now; calls `serve` with each new certificate. Rejects only where it can never succeed. */
  reconcile(): Promise<void>;
  stop(): void;
}

export interface SourceOptions {
  configuration: Configuration;
  log: StructuredLog;
  /** @param caCert PEM; absent where it is not known */
  serve(pair: KeyPair, caCert?: string): void;
}

/** Made once, for one process without a cluster. */
export function fromMemory({ configuration, log, serve }: SourceOptions, keep: (caCert: string) => void): Source {
  let made: Promise<void> | undefined;
  const make = async () => {
    const { ca, ...pair } = await makeCertificate(new Date());
    keep(ca);
    log.info({ path: await writeCaFile(configuration['ca-file'], ca) }, 'wrote the CA certificate');
    serve(pair, ca);
  };
  return {
    reconcile: () => {
      made ??= make();
      return made;
    },
    stop: () => {},
  };
}

/** Maintained by another program. */
export function fromDirectory({ configuration, log, serve }: SourceOptions, wake: () => void): Source {
  const path = configuration['certificate-directory'];
  return { reconcile: createDirectoryReader({ path, serve, log }), stop: watchDirectory(path, wake) };
}

/** Shared by all replicas. */
export function fromSecret(
  { configuration, log, serve }: SourceOptions,
  cluster: { client: ClusterClient; secret: WatchedObject; configuration: WatchedObject; metrics: Metrics },
): Source {
  const reconcile = createCertificateReconciler({
    ...cluster,
    lifetimes: {
      ca: durationMs(configuration['ca-life']),
      serving: durationMs(configuration['certificate-life']),
    },
    servedByAll: async (print) => allServe(await askPeers(cluster.client, configuration.port), print),
    serve,
    did: (what) => count(what, cluster.metrics),
    log,
    now: Date.now,
  });
  return { reconcile, stop: () => {} };
}

function count(what: RotationStep | 'bundle', { rotations, bundleUpdates }: Metrics): void {
  if (what === 'bundle') bundleUpdates.inc();
  if (what === 'begin' || what === 'switch' || what === 'renew') rotations.inc({ what: 'serving' });
  if (what === 'begin' || what === 'switch') rotations.inc({ what: 'ca' });
}

// The CA file, for clients without a cluster.

/**
 * Writes the CA certificate, and makes its folder. A reader sees the old file or the new one, never half of it.
 * @param pem certificate; no key
 * @returns the absolute path
 * @throws the file system's error, which names the path
 */
export async function writeCaFile(path: string, pem: string): Promise<string> {
  const target = resolve(path);
  await mkdir(dirname(target), { recursive: true });
  const partial = `${target}.${process.pid}.tmp`;
  await writeFile(partial, pem);
  await rename(partial, target);
  return target;
}
