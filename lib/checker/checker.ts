// What the checker knows, and what it does when a check shows that the pod is no longer guarded.
import type { Mode, OnDrift } from '../contract.ts';
import { CodedError, describeError, errors } from '../errors.ts';
import { ErrorLog, type Log } from '../log.ts';
import { identityOf, referTo } from '../netfilter/drop-rule.ts';
import type { InstallResult } from '../netfilter/installer.ts';
import { FAMILIES } from '../netfilter/packet.ts';
import {
  areStraysNoted,
  droppingRules,
  isExempt,
  isGuarded,
  type RulesetCheck,
  unguardedReasons,
  unsparedReasons,
} from '../netfilter/ruleset-check.ts';
import { printable } from '../printable.ts';
import { addCheck, emptyDropCounters, restartCounters } from './drop-counters.ts';
import type { RulesetChange } from './nft-monitor.ts';

export type Trigger = 'start' | 'event' | 'schedule' | 'retry';

export interface CheckerSettings {
  mode: Mode;
  onDrift: OnDrift;
  /** Milliseconds from one check to the next where the kernel does not report every change. */
  interval: number;
  /** The same where it does. Each check costs a process. */
  reportedInterval: number;
}

/** What the checker needs from outside; tests give their own. */
export interface CheckerDependencies {
  /** @param quiet the kernel has reported no change since the last check, if it reports changes */
  check(quiet: boolean): Promise<RulesetCheck>;
  repair(): Promise<InstallResult>;
  /** Whether putting the exemption in (again) could help. */
  lacksExemption(check: RulesetCheck): boolean;
  /** Whether the kernel reports changes of the nft ruleset now. */
  reportsChanges(): boolean;
  log: Log;
  /** Milliseconds of a clock that nobody sets: a step of the machine's clock changes no age. */
  now(): number;
}

const MAX_CHANGES = 10;
/** Milliseconds that one check may take: part of the age at which the last result counts as too old. */
const CHECK_LIMIT = 5000;
/** Milliseconds to wait for the kernel's report of a change. */
const REPORT_LIMIT = 100;
/** Milliseconds until an exemption that could not be put in is tried again. */
const EXEMPTION_RETRY = 600_000;

export class Checker {
  last: RulesetCheck | undefined;
  guarded = false;
  /** Whether INVALID packets that have a socket of their own pass, and stray segments are noted. */
  exempt = false;
  dropCounters = emptyDropCounters();
  checks: Record<Trigger, number> = { start: 0, event: 0, schedule: 0, retry: 0 };
  checkFailures = 0;
  /** Why the last check failed; undefined where it did not. */
  failure: string | undefined;
  drift = 0;
  exemptionDrift = 0;
  exemptionFailures = 0;
  repairs = 0;
  repairFailures = 0;
  readinessLost = 0;
  readonly settings: CheckerSettings;
  private lastAt = 0;
  private exemptionRetryAt = Number.NEGATIVE_INFINITY;
  private changes: RulesetChange[] = [];
  private changesCame: (() => void) | undefined;
  private readonly errors: ErrorLog;
  private readonly dependencies: CheckerDependencies;

  constructor(settings: CheckerSettings, dependencies: CheckerDependencies) {
    this.settings = settings;
    this.dependencies = dependencies;
    this.errors = new ErrorLog(dependencies.log);
  }

  /** Remembers who changed the ruleset, for the log line that says what was lost. */
  noteChanges(changes: RulesetChange[]): void {
    this.changes = [...this.changes, ...changes].slice(-MAX_CHANGES);
    if (changes.length > 0) this.changesCame?.();
  }

  /**
   * Milliseconds to the next check. Longer while the kernel reports every change, which it does not do for
   * iptables-legacy.
   */
  nextCheckIn(): number {
    const legacy = FAMILIES.some((family) => (this.last?.snapshot.legacyTables[family].length ?? 0) > 0);
    const reported = this.last !== undefined && !legacy && this.dependencies.reportsChanges();
    return reported ? this.settings.reportedInterval : this.settings.interval;
  }

  /** Why the pod is not ready, or undefined where it is. In observe mode it always is. */
  notReady(): string | undefined {
    if (this.settings.mode === 'observe') return undefined;
    return this.outdated() ?? this.unguarded();
  }

  /** Why nobody can tell whether the pod is guarded now; undefined where the last check does. */
  outdated(): string | undefined {
    if (!this.last) return 'no check has succeeded yet';
    const age = this.dependencies.now() - this.lastAt;
    const limit = this.nextCheckIn() + 2 * this.settings.interval + CHECK_LIMIT;
    return age > limit ? `the last successful check is ${Math.round(age / 1000)} s old` : undefined;
  }

  /** Why the pod is not guarded, as the last check tells: one line. */
  unguarded(): string | undefined {
    if (this.guarded || !this.last) return undefined;
    return printable(unguardedReasons(this.last)[0] ?? 'not guarded');
  }

  /** One check, and what follows from it. Never throws; false where the ruleset could not be read. */
  async check(trigger: Trigger): Promise<boolean> {
    this.checks[trigger]++;
    // What is reported from now on may be a change that this check does not see yet.
    const seen = new Set(this.changes);
    try {
      await this.reactTo(await this.dependencies.check(trigger === 'schedule'), seen);
      this.failure = undefined;
      return true;
    } catch (error) {
      this.checkFailures++;
      this.failure = describeError(error).message;
      this.errors.note('check-failed', error);
      return false;
    }
  }

  /** @param seen changes that were reported before the check began */
  private async reactTo(check: RulesetCheck, seen: Set<RulesetChange>): Promise<void> {
    const before = this.last;
    const [wasGuarded, wasExempt] = [this.guarded, this.exempt];
    this.accept(check);
    const lacking = this.dependencies.lacksExemption(check);
    if (!wasGuarded && this.guarded)
      this.dependencies.log('info', 'ready', { message: 'INVALID TCP packets are dropped' });
    const isLost = (wasGuarded && !this.guarded) || (wasExempt && !this.exempt);
    if (isLost) await this.waitForChanges();
    if (wasGuarded && !this.guarded && before) this.reportDrift(before, check);
    else if (!this.guarded && !before)
      this.dependencies.log('warn', 'not-guarded', { reasons: unguardedReasons(check) });
    if (wasExempt && !this.exempt) this.reportExemptionDrift(check);
    if (this.guarded && !lacking) {
      this.changes = this.changes.filter((change) => !seen.has(change));
      this.errors.recovered();
      return;
    }
    const retry = lacking && this.dependencies.now() >= this.exemptionRetryAt;
    if (this.settings.onDrift === 'repair' && (!this.guarded || retry)) await this.repair();
  }

  /** A check that ran already may see a change before the kernel's report of it, which names the process, has come. */
  private async waitForChanges(): Promise<void> {
    if (this.changes.length > 0 || !this.dependencies.reportsChanges()) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, REPORT_LIMIT);
      this.changesCame = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.changesCame = undefined;
  }

  private accept(check: RulesetCheck): void {
    this.last = check;
    this.lastAt = this.dependencies.now();
    this.guarded = isGuarded(check);
    this.exempt = isExempt(check);
    this.dropCounters = addCheck(this.dropCounters, check);
  }

  private reportDrift(before: RulesetCheck, check: RulesetCheck): void {
    this.drift++;
    this.readinessLost++;
    const reasons = unguardedReasons(check);
    this.dependencies.log('warn', 'drift', { lost: lostRules(before, check), reasons, by: this.changes });
    if (this.settings.mode === 'enforce') this.dependencies.log('warn', 'not-ready', { reasons });
  }

  private reportExemptionDrift(check: RulesetCheck): void {
    this.exemptionDrift++;
    const reasons = [...unsparedReasons(check), ...(areStraysNoted(check) ? [] : ['stray segments are not noted'])];
    this.dependencies.log('warn', 'exemption-lost', { reasons, by: this.changes });
  }

  private async repair(): Promise<void> {
    const started = this.dependencies.now();
    const wasGuarded = this.guarded;
    try {
      const { guarded, families, exemption, check, warnings } = await this.dependencies.repair();
      for (const { code, message } of warnings) this.dependencies.log('warn', 'warning', { code, message });
      if (Object.values(families).some(({ action }) => action === 'inserted'))
        this.dropCounters = restartCounters(this.dropCounters);
      this.accept(check);
      if (exemption.action === 'failed') this.noteExemptionFailure(exemption);
      if (!guarded) throw errors.REPAIR_FAILED(repairReasons(families, check));
      this.repairs++;
      const milliseconds = this.dependencies.now() - started;
      this.dependencies.log('info', 'repaired', { families, exemption, milliseconds });
      if (!wasGuarded) this.dependencies.log('info', 'ready', { message: 'INVALID TCP packets are dropped' });
    } catch (error) {
      this.repairFailures++;
      this.errors.note('repair-failed', error);
    }
  }

  private noteExemptionFailure({ code, message }: { code: string; message: string }): void {
    this.exemptionFailures++;
    this.exemptionRetryAt = this.dependencies.now() + EXEMPTION_RETRY;
    this.errors.note('exemption-failed', new CodedError(code, message));
  }
}

function repairReasons(families: InstallResult['families'], check: RulesetCheck): string {
  const failures = Object.values(families).flatMap((done) => (done.action === 'failed' ? [done.message] : []));
  return [...failures, ...unguardedReasons(check)].join('; ');
}

/** The rules that dropped before and no longer do, as text. */
function lostRules(before: RulesetCheck, check: RulesetCheck): string[] {
  const rulesOf = ({ families }: RulesetCheck) => FAMILIES.flatMap((family) => droppingRules(families[family]));
  const now = new Set(rulesOf(check).map(identityOf));
  const lost = rulesOf(before).filter((location) => !now.has(identityOf(location)));
  return [...new Set(lost.map(referTo).map(({ table, chain, rule }) => `${table} ${chain}: ${rule}`))];
}
