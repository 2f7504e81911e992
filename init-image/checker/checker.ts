// What the checker knows, and what it does when a look shows that the pod is no longer guarded.
import type { Mode, OnDrift } from '../../lib/contract.ts';
import { CodedError, errors } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';
import { rulesOf, unguardedClasses } from '../../lib/netfilter/check-report.ts';
import type { Installed } from '../../lib/netfilter/installer.ts';
import { FAMILIES } from '../../lib/netfilter/programs.ts';
import { isGuarded, type Look } from '../../lib/netfilter/ruleset-check.ts';
import type { Trigger } from './check-schedule.ts';
import { addLook, emptyTally, restartCounters } from './drop-counters.ts';
import type { Change } from './monitor-text.ts';

export interface CheckerSettings {
  mode: Mode;
  onDrift: OnDrift;
  /** Milliseconds; a look that is older than three of them and 5 s is no longer recent. */
  interval: number;
}

/** How the checker reaches the world; tests give their own. */
export interface CheckerEdges {
  look(): Promise<Look>;
  repair(): Promise<Installed>;
  log: Log;
  /** Milliseconds since 1970. */
  now(): number;
}

const MAX_CHANGES = 10;

export class Checker {
  last: Look | undefined;
  guarded = false;
  tally = emptyTally();
  looks: Record<Trigger, number> = { start: 0, event: 0, schedule: 0, retry: 0 };
  lookFailures = 0;
  drift = 0;
  repairs = 0;
  repairFailures = 0;
  readinessLost = 0;
  readonly settings: CheckerSettings;
  private changes: Change[] = [];
  private complaint = '';
  private readonly edges: CheckerEdges;

  constructor(settings: CheckerSettings, edges: CheckerEdges) {
    this.settings = settings;
    this.edges = edges;
  }

  /** Remembers who changed the ruleset, for the log line that says what was lost. */
  noteChanges(changes: Change[]): void {
    this.changes = [...this.changes, ...changes].slice(-MAX_CHANGES);
  }

  /** Why the pod is not ready, or undefined where it is. In observe mode it always is. */
  notReady(): string | undefined {
    if (this.settings.mode === 'observe') return undefined;
    if (!this.last) return 'no look has succeeded yet';
    const age = this.edges.now() - this.last.at;
    if (age > 3 * this.settings.interval + 5000) return `the last look is ${Math.round(age / 1000)} s old`;
    return this.guarded ? undefined : (reasonsOf(this.last)[0] ?? 'not guarded');
  }

  /** One look and what follows from it. Never throws; false where it could not see. */
  async look(trigger: Trigger): Promise<boolean> {
    this.looks[trigger]++;
    try {
      await this.settle(await this.edges.look());
      return true;
    } catch (error) {
      this.lookFailures++;
      this.complain('look-failed', error);
      return false;
    }
  }

  private async settle(look: Look): Promise<void> {
    const before = this.last;
    const wasGuarded = this.guarded;
    this.accept(look);
    if (this.guarded) {
      if (!wasGuarded) this.edges.log('info', 'ready', { message: 'INVALID TCP packets are dropped' });
      this.changes = [];
      this.complaint = '';
      return;
    }
    if (wasGuarded && before) this.reportDrift(before, look);
    else if (!before) this.edges.log('warn', 'not-guarded', { reasons: reasonsOf(look) });
    if (this.settings.onDrift === 'repair') await this.repair();
  }

  private accept(look: Look): void {
    this.last = look;
    this.guarded = isGuarded(look);
    this.tally = addLook(this.tally, look);
  }

  private reportDrift(before: Look, look: Look): void {
    this.drift++;
    this.readinessLost++;
    const by = this.changes.map(({ process, pid, lines }) => ({ process, pid, lines }));
    this.edges.log('warn', 'drift', { lost: lostRules(before, look), reasons: reasonsOf(look), by });
    if (this.settings.mode === 'enforce') this.edges.log('warn', 'not-ready', { reasons: reasonsOf(look) });
  }

  private async repair(): Promise<void> {
    const started = this.edges.now();
    try {
      const { guarded, families, look } = await this.edges.repair();
      this.tally = restartCounters(this.tally);
      this.accept(look);
      if (!guarded) throw errors.REPAIR_FAILED(repairReasons(families, look));
      this.repairs++;
      this.edges.log('info', 'repaired', { families, milliseconds: this.edges.now() - started });
      this.edges.log('info', 'ready', { message: 'INVALID TCP packets are dropped' });
    } catch (error) {
      this.repairFailures++;
      this.complain('repair-failed', error);
    }
  }

  /** Logs a trouble once for as long as it stays the same. */
  private complain(event: string, error: unknown): void {
    const code = error instanceof CodedError ? error.code : 'UNEXPECTED';
    const message = error instanceof Error ? error.message : String(error);
    if (this.complaint === message) return;
    this.complaint = message;
    this.edges.log('error', event, { code, message });
  }
}

function reasonsOf(look: Look): string[] {
  const reasons = unguardedClasses(look).map(
    ({ family, interface: name, reason }) => `${family} on ${name}: ${reason}`,
  );
  return [...new Set(reasons)];
}

function repairReasons(families: Installed['families'], look: Look): string {
  const failures = Object.values(families).flatMap((done) => (done.action === 'failed' ? [done.message] : []));
  return [...failures, ...reasonsOf(look)].join('; ');
}

/** The rules that dropped before and no longer do. */
function lostRules(before: Look, look: Look): string[] {
  const texts = (one: Look) =>
    FAMILIES.flatMap((family) =>
      Object.values(one.families[family].classes)
        .filter(({ verdict }) => verdict === 'dropped')
        .flatMap(rulesOf)
        .map((rule) => `${rule.table} ${rule.chain}: ${rule.rule}`),
    );
  const now = new Set(texts(look));
  return [...new Set(texts(before))].filter((text) => !now.has(text));
}
