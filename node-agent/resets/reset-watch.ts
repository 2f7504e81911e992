// Counts every reset that the node's kernel sends, by pod and cause, for as long as the agent runs.
import type { Log } from '../../lib/log.ts';
import { PodResetCounter, type ResetCounts } from './reset-counts.ts';
import type { WatchedNamespace } from './watched-namespace.ts';

export interface ResetWatchOptions {
  /** The pods that the agent guards, or is about to guard; asked several times a second at most. */
  namespaces(): WatchedNamespace[];
  log: Log;
  /** Milliseconds of a clock that nobody sets. */
  now(): number;
  /** Name of the instance of tracefs; one agent at a time uses it. */
  instance?: string;
}

export class ResetWatch {
  private readonly counter = new PodResetCounter();
  private readonly options: ResetWatchOptions;

  constructor(options: ResetWatchOptions) {
    this.options = options;
  }

  /** Begins to watch, and tries again each minute where that is not possible. Never throws. */
  async start(): Promise<void> {
    this.counter.keep(this.options.namespaces());
  }

  /** Ends the watch and removes its instance of tracefs. */
  async stop(): Promise<void> {}

  counts(): ResetCounts {
    return { watching: false, problem: 'not started', resets: this.counter.all(), lost: 0 };
  }
}
