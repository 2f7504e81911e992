// Keeps nf_conntrack_tcp_be_liberal set in a pod's network namespace: no segment is INVALID for its numbers then, so that
// no connection hangs (docs/how-it-works.md).
import { describeError, errors } from '../../lib/errors.ts';
import { ErrorLog, type Log } from '../../lib/log.ts';
import { BE_LIBERAL } from '../../lib/netfilter/proc.ts';
import type { EnteredNamespace } from './entered-namespace.ts';

export class LiberalConntrack {
  /** Whether it was set when it was read last; undefined before that. */
  isSet: boolean | undefined;
  /** How often it was found to be 0 after it had been set. */
  drift = 0;
  repairs = 0;
  /** Why it could not be set. */
  failure: string | undefined;
  private readonly namespace: EnteredNamespace;
  private readonly log: Log;
  private readonly errors: ErrorLog;

  constructor(namespace: EnteredNamespace, log: Log) {
    this.namespace = namespace;
    this.log = log;
    this.errors = new ErrorLog(log);
  }

  /**
   * Sets it, and later reads it and sets it where it is not. Conntrack has to be loaded in the namespace, as the rule does.
   * Never throws.
   * @param repair false: it is set once, and later changes are only told
   */
  async hold(repair: boolean): Promise<void> {
    try {
      const before = this.isSet;
      // At first it is 0 in every namespace, and each program delays a new pod.
      if (before !== undefined) await this.read();
      if (this.isSet) return;
      if (before) {
        this.drift++;
        this.log('warn', 'be-liberal-lost', { message: `something has set ${BE_LIBERAL} to 0` });
      }
      if (before !== undefined && !repair) return;
      await this.namespace.writeSysctl(BE_LIBERAL, '1');
      await this.read();
      if (!this.isSet) throw errors.LIBERAL_FAILED('it is 0 after 1 was written');
      if (before) this.repairs++;
      this.failure = undefined;
      this.errors.recovered();
    } catch (error) {
      this.failure = describeError(error).message;
      this.errors.note('be-liberal-failed', error);
    }
  }

  private async read(): Promise<void> {
    await this.namespace.readSysctls();
    this.isSet = this.namespace.readSysctl(BE_LIBERAL)?.trim() === '1';
  }
}
