// All that keeps verifying one network namespace: checks on events and on a schedule, repairs, rescues.
import { monotonicNow } from '../clock.ts';
import type { Log } from '../log.ts';
import { lacksExemption, listListeners, raisesAlarm } from '../netfilter/exemption-installer.ts';
import type { InstallResult } from '../netfilter/installer.ts';
import type { NamespaceAccess } from '../netfilter/namespace-access.ts';
import { type Evidence, makeInvalidCounter, readEvidence } from '../netfilter/proc.ts';
import { checkRuleset, type RulesetCheck } from '../netfilter/ruleset-check.ts';
import type { ReadRuleset } from '../netfilter/ruleset-reader.ts';
import { CheckSchedule } from './check-schedule.ts';
import { Checker, type CheckerSettings } from './checker.ts';
import { type CheckerReport, describeChecker } from './checker-report.ts';
import { makeLiberal } from './liberal-connection.ts';
import { ALARM_MONITOR, ALARM_MONITOR_MEMORY, CHANGE_MONITOR, NftMonitor } from './nft-monitor.ts';
import { forgetNotes, readNotes } from './noted-connections.ts';
import { Rescuer } from './rescuer.ts';

/** The namespace, and what is done in it. */
export interface NamespaceCheckerDependencies {
  namespace: NamespaceAccess;
  read: ReadRuleset;
  /** @param found the check that leads to it, which has just read the ruleset */
  install(found: RulesetCheck | undefined): Promise<InstallResult>;
  log: Log;
  /** Milliseconds for each program. */
  commandTimeout: number;
  /** Called after each check, before the next can begin. Must not throw. */
  afterCheck?(): Promise<void>;
  /** Where given, the first check installs, and is what that has read back. */
  installsFirst?: boolean;
  /** Whether the alarm for stray segments is heard, by a monitor that takes megabytes: else their count is looked at. */
  hearsAlarm?: boolean;
  /** Milliseconds after each start of the monitor: what changed before it listened is found by a check then. */
  recheckAfter?: number;
  /** Starts the monitor after the first check: it takes as long as a program of the install, for which a pod waits. */
  monitorsLater?: boolean;
  /** Milliseconds between checks at most, in a storm of changes. */
  longestGap?: number;
}

/** Milliseconds from which on a check is expensive. The pause after it is so many times as long, up to a limit. */
const [EXPENSIVE, TIMES, LONGEST_PAUSE] = [200, 30, 20_000];

/** A check stops all else in its process: where what runs in the namespace makes it expensive, it is made seldom. */
function pauseAfter(check: RulesetCheck | undefined): number {
  return check === undefined || check.took < EXPENSIVE ? 0 : Math.min(check.took * TIMES, LONGEST_PAUSE);
}

export class NamespaceChecker {
  readonly checker: Checker;
  readonly monitor: NftMonitor;
  private readonly schedule: CheckSchedule;
  private readonly rescuer: Rescuer;
  private rescues = false;
  private recheck: NodeJS.Timeout | undefined;
  private monitorStart: NodeJS.Immediate | undefined;
  private readonly dependencies: NamespaceCheckerDependencies;

  constructor(settings: CheckerSettings, dependencies: NamespaceCheckerDependencies) {
    const { namespace, install, log, commandTimeout, afterCheck, longestGap, hearsAlarm = false } = dependencies;
    const [monitor, ...words] = hearsAlarm ? ALARM_MONITOR : CHANGE_MONITOR;
    this.dependencies = dependencies;
    this.checker = new Checker(settings, {
      check: (quiet) => this.check(quiet),
      lacksExemption,
      repair: () => install(this.checker.last),
      reportsChanges: () => this.monitor.running,
      log,
      now: monotonicNow,
    });
    this.schedule = new CheckSchedule(
      async (trigger) => {
        const done = await this.checker.check(trigger);
        await afterCheck?.();
        return done;
      },
      () => this.checker.nextCheckIn(),
      { ...(longestGap !== undefined && { lastGap: longestGap }), pause: () => pauseAfter(this.checker.last) },
    );
    this.monitor = new NftMonitor(
      (onText, onEnd) => {
        this.recheckLater();
        return namespace.start(monitor, words, onText, onEnd);
      },
      (changes) => {
        this.checker.noteChanges(changes);
        this.schedule.changed();
      },
      () => this.rescues && this.rescuer.alarm(),
      log,
      hearsAlarm ? ALARM_MONITOR_MEMORY : undefined,
    );
    this.rescuer = new Rescuer({
      countInvalid: makeInvalidCounter(namespace),
      hearsAlarm: () => hearsAlarm && this.monitor.running && raisesAlarm(this.checker.last),
      readNotes: () => readNotes(commandTimeout, namespace.run),
      forget: (connections) => forgetNotes(connections, commandTimeout, namespace.run),
      makeLiberal: (connection) => makeLiberal(connection, commandTimeout, namespace.run),
      log,
      now: monotonicNow,
      date: Date.now,
    });
  }

  /** @returns after the first check */
  async start(): Promise<void> {
    const { monitorsLater } = this.dependencies;
    if (!monitorsLater) this.monitor.start();
    await this.schedule.start();
    if (monitorsLater) this.monitorStart = setImmediate(() => this.monitor.start());
    else this.recheckLater();
  }

  /** From now on connections with stray segments are rescued. */
  startRescue(): void {
    if (this.rescues) return;
    this.rescues = true;
    this.rescuer.start();
  }

  /** Checks now, unless a check runs. */
  checkNow(): void {
    this.schedule.checkNow();
  }

  private recheckLater(): void {
    const { recheckAfter, monitorsLater } = this.dependencies;
    clearTimeout(this.recheck);
    // What came before a late monitor is told by nothing: all is read then.
    const check = () => (monitorsLater ? this.schedule.changed() : this.checkNow());
    if (recheckAfter !== undefined) this.recheck = setTimeout(check, recheckAfter);
  }

  /** @returns after the check that runs, if one does */
  async stop(): Promise<void> {
    clearTimeout(this.recheck);
    clearImmediate(this.monitorStart);
    this.monitor.stop();
    this.rescuer.stop();
    await this.schedule.stop();
  }

  report(evidence: Evidence = readEvidence(this.dependencies.namespace)): CheckerReport {
    return describeChecker(this.checker, evidence, this.monitor, this.rescues ? this.rescuer : undefined);
  }

  private async check(quiet: boolean): Promise<RulesetCheck> {
    const { namespace, read, install, installsFirst, commandTimeout } = this.dependencies;
    const { last, settings } = this.checker;
    if (installsFirst && !last) return (await install(undefined)).check;
    const check = await checkRuleset(() => read(quiet && this.monitor.running), last, namespace);
    this.monitor.limitMemory();
    return settings.onDrift === 'repair' ? await listListeners(check, read, commandTimeout, namespace) : check;
  }
}
