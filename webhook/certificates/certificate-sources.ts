// The places that a certificate can come from. Each is asked to look again every now and then.
import { durationMs } from '../../lib/options.ts';
import type { ClusterClient } from '../cluster/cluster-client.ts';
import type { Metrics } from '../webhook-metrics.ts';
import type { Configuration } from '../webhook-options.ts';
import { writeCaFile } from './ca-file.ts';
import { createDirectoryReader, watchDirectory } from './certificate-directory.ts';
import { createKeeper } from './certificate-reconciler.ts';
import { type KeyPair, makeCertificate } from './make-certificates.ts';
import { allServe, askPeers } from './peers.ts';
import type { Step } from './rotation-plan.ts';
import type { HeldObject } from './watched-object.ts';

export interface Source {
  /** Does what is to be done now; calls `serve` with each new certificate. Rejects only where it can never succeed. */
  round(): Promise<void>;
  stop(): void;
}

export interface SourceOptions {
  configuration: Configuration;
  log: { info(details: object, message: string): void; warn(details: object, message: string): void };
  /** @param authority PEM; absent where it is not known */
  serve(pair: KeyPair, authority?: string): void;
}

/** Made once, for one process without a cluster. */
export function fromMemory({ configuration, log, serve }: SourceOptions, keep: (authority: string) => void): Source {
  let made: Promise<void> | undefined;
  const make = async () => {
    const { ca, ...pair } = await makeCertificate(new Date());
    keep(ca);
    log.info({ path: await writeCaFile(configuration['ca-file'], ca) }, 'wrote the CA certificate');
    serve(pair, ca);
  };
  return {
    round: () => {
      made ??= make();
      return made;
    },
    stop: () => {},
  };
}

/** Kept by somebody else. */
export function fromDirectory({ configuration, log, serve }: SourceOptions, wake: () => void): Source {
  const path = configuration['certificate-directory'];
  return { round: createDirectoryReader({ path, serve, log }), stop: watchDirectory(path, wake) };
}

/** Shared by all replicas. */
export function fromSecret(
  { configuration, log, serve }: SourceOptions,
  cluster: { client: ClusterClient; secret: HeldObject; configuration: HeldObject; metrics: Metrics },
): Source {
  const round = createKeeper({
    ...cluster,
    lives: {
      authority: durationMs(configuration['ca-life']),
      serving: durationMs(configuration['certificate-life']),
    },
    servedByAll: async (print) => allServe(await askPeers(cluster.client, configuration.port), print),
    serve,
    did: (what) => count(what, cluster.metrics),
    log,
    now: Date.now,
  });
  return { round, stop: () => {} };
}

function count(what: Step | 'bundle', { rotations, bundleUpdates }: Metrics): void {
  if (what === 'bundle') bundleUpdates.inc();
  if (what === 'begin' || what === 'switch' || what === 'renew') rotations.inc({ what: 'serving' });
  if (what === 'begin' || what === 'switch') rotations.inc({ what: 'ca' });
}
