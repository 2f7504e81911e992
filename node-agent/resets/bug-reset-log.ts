// A log line for each reset that the rule would have prevented, few for each pod.
import type { Log } from '../../lib/log.ts';
import type { Reset } from '../../lib/resets/trace-line.ts';
import type { WatchedNamespace } from './watched-namespace.ts';

/** Milliseconds between two lines of one pod: what runs in a pod may cause as many resets as it likes. */
const PERIOD = 10_000;

interface PodLines {
  loggedAt: number;
  notLogged: number;
}

export class BugResetLog {
  private readonly pods = new Map<string, PodLines>();
  private readonly log: Log;
  private readonly now: () => number;

  /** @param now milliseconds */
  constructor(log: Log, now: () => number) {
    this.log = log;
    this.now = now;
  }

  /** @param why the rule did not prevent it */
  add({ id, namespace, pod }: WatchedNamespace, reset: Reset, why: string): void {
    const { loggedAt, notLogged } = this.pods.get(id) ?? { loggedAt: Number.NEGATIVE_INFINITY, notLogged: 0 };
    if (this.now() - loggedAt < PERIOD) return void this.pods.set(id, { loggedAt, notLogged: notLogged + 1 });
    this.pods.set(id, { loggedAt: this.now(), notLogged: 0 });
    const { local, remote, state = null, reason = null } = reset;
    const peer = remote.port === 0 ? null : remote;
    const details = { namespace, pod, port: local.port, peer, state, reason, why, notLogged };
    this.log('warn', 'preventable-reset', details);
  }

  /** Forgets all other namespaces. */
  keep(ids: Set<string>): void {
    for (const id of this.pods.keys()) if (!ids.has(id)) this.pods.delete(id);
  }
}
