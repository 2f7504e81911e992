// Certificates in a folder that another program maintains, such as a mounted Secret of cert-manager.

import { watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { reasonOf } from '../../lib/cluster/api-error.ts';
import type { StructuredLog } from '../../lib/log.ts';
import { errors } from '../webhook-errors.ts';
import type { KeyPair } from './make-certificates.ts';
import { isPair } from './read-certificates.ts';

export interface DirectoryOptions {
  /** Holds tls.crt and tls.key, PEM. */
  path: string;
  serve(pair: KeyPair): void;
  log: StructuredLog;
}

/**
 * Reads the folder each time it is called, and serves a new pair. A certificate and key that do not belong together, as
 * in the middle of a change, are ignored, and the served pair stays.
 * @returns a function that reads it; never rejects
 */
export function createDirectoryReader({ path, serve, log }: DirectoryOptions): () => Promise<void> {
  let present = '';
  let lastReason = '';
  const logOnce = (reason: string) => {
    if (reason !== lastReason) log.warn({ path, reason }, 'no certificate can be read from the folder');
    lastReason = reason;
  };
  return async () => {
    try {
      const [cert, key] = await Promise.all(['tls.crt', 'tls.key'].map((name) => readFile(join(path, name), 'utf8')));
      if (cert === undefined || key === undefined || cert + key === present) return;
      if (!isPair(cert, key)) return logOnce(errors.CERTIFICATE_UNUSABLE(path).message);
      present = cert + key;
      lastReason = '';
      serve({ cert, key });
      log.info({ path }, 'read the certificate');
    } catch (error) {
      logOnce(reasonOf(error));
    }
  };
}

/**
 * Calls back when something in the folder changes. Only a hint: a mounted Secret changes by a symbolic link beside it,
 * and some file systems report no changes.
 * @returns a function that ends it
 */
export function watchDirectory(path: string, changed: () => void): () => void {
  try {
    const watcher = watch(path, { persistent: false }, changed);
    watcher.on('error', () => watcher.close());
    return () => watcher.close();
  } catch {
    return () => {};
  }
}
