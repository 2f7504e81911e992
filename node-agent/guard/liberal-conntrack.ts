// Keeps nf_conntrack_tcp_be_liberal set in a pod's network namespace: no segment is INVALID for its numbers then, so that
// no connection hangs (docs/how-it-works.md).
import { describeError, errors } from '../../lib/errors.ts';
import { ErrorLog, type Log } from '../../lib/log.ts';
import { PORT_RANGE } from '../../lib/netfilter/local-sockets.ts';
import { BE_LIBERAL } from '../../lib/netfilter/proc.ts';
import type { EnteredNamespace } from './entered-namespace.ts';

/** Looks once into a namespace that nobody guards. @returns undefined where it cannot be entered. Never rejects. */
export async function readLiberal(namespace: EnteredNamespace): Promise<boolean | undefined> {
  namespace.urgent = false;
  try {
    namespace.open();
    await namespace.readSysctls();
    // Each namespace has the range; the other sysctl comes with conntrack.
    const isEntered = namespace.readSysctl(PORT_RANGE) !== undefined;
    return isEntered ? namespace.readSysctl(BE_LIBERAL)?.trim() === '1' : undefined;
  } catch {
    return undefined;
  } finally {
    namespace.close();
  }
}

export class LiberalConntrack {
  /** Whether it was set when it was read last; undefined before that. */
  isSet: boolean | undefined;
  /** How often it was found to be 0 after it had been set. */
  drift = 0;
  repairs = 0;
  /** Why it could not be set. */
  failure: string | undefined;
  /** It was set just now: the first check need not read it. */
  private isPrepared = false;
  private readonly namespace: EnteredNamespace;
  private readonly log: Log;
  private readonly errors: ErrorLog;

  constructor(namespace: EnteredNamespace, log: Log) {
    this.namespace = namespace;
    this.log = log;
    this.errors = new ErrorLog(log);
  }

  /**
   * Sets it before the rule is put in. Where conntrack is not loaded on the node yet, that fails: the rule loads it, and
   * `hold` sets it. Sysctls are read in any case. Never throws.
   */
  async prepare(): Promise<void> {
    await this.namespace.writeSysctl(BE_LIBERAL, '1').catch(() => undefined);
    await this.read().catch(() => undefined);
    this.isPrepared = this.isSet === true;
    // What was not set is no drift.
    if (!this.isSet) this.isSet = undefined;
  }

  /**
   * Sets it, and later reads it and sets it where it is not. Conntrack has to be loaded in the namespace, as the rule does.
   * Never throws.
   * @param repair false: it is set once, and later changes are only told
   */
  async hold(repair: boolean): Promise<void> {
    const isPrepared = this.isPrepared;
    this.isPrepared = false;
    if (isPrepared) return;
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
      await this.set();
      if (before) this.repairs++;
      this.failure = undefined;
      this.errors.recovered();
    } catch (error) {
      this.failure = describeError(error).message;
      this.errors.note('be-liberal-failed', error);
    }
  }

  /** @throws CodedError LIBERAL_FAILED, or as the programs do */
  private async set(): Promise<void> {
    await this.namespace.writeSysctl(BE_LIBERAL, '1');
    await this.read();
    if (!this.isSet) throw errors.LIBERAL_FAILED('it is 0 after 1 was written');
  }

  private async read(): Promise<void> {
    await this.namespace.readSysctls();
    this.isSet = this.namespace.readSysctl(BE_LIBERAL)?.trim() === '1';
  }
}
