// Shutdown without failed admissions. The API server keeps using its connections, and learns of a changed endpoint only
// after seconds: so the webhook first reports not ready, then serves on for a while and asks clients to reconnect.

import type { StructuredLog } from '../lib/log.ts';

export interface ShutdownOptions {
  /** How long to serve on after the first signal, in milliseconds. */
  drainMs: number;
  /** How long requests under way may take after that. */
  closeMs: number;
  /** Stops listening; resolves when the last connection has ended. */
  close(): Promise<void>;
  /** Ends the process. */
  exit(code: number): void;
  wait(ms: number): Promise<void>;
  log: Pick<StructuredLog, 'info'>;
}

export interface Shutdown {
  /** True from the first signal on. */
  draining(): boolean;
  /**
   * To be called at each signal. The first one drains, closes and exits 0 (SIGINT, from a terminal, does not wait);
   * a second one exits 1 at once.
   */
  signal(name: 'SIGTERM' | 'SIGINT'): Promise<void>;
}

export function createShutdown({ drainMs, closeMs, close, exit, wait, log }: ShutdownOptions): Shutdown {
  let draining = false;
  return {
    draining: () => draining,
    async signal(name) {
      if (draining) {
        log.info({ signal: name }, 'second signal: ending at once');
        return exit(1);
      }
      draining = true;
      log.info({ signal: name, drainMs }, 'not Ready any more; serving until clients use other replicas');
      if (name === 'SIGTERM') await wait(drainMs);
      // Without the limit, a request that never arrives completely would keep the process.
      await Promise.race([close(), wait(closeMs)]);
      log.info({}, 'closed');
      exit(0);
    },
  };
}
