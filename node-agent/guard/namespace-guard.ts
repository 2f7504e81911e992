// Guards one pod from outside: puts the whole cure into its network namespace, and keeps verifying that it is there.
import { release } from 'node:os';
import { NamespaceChecker } from '../../lib/checker/namespace-checker.ts';
import type { BeLiberal, Mode, OnDrift, Protocol, Rescue } from '../../lib/contract.ts';
import type { Log } from '../../lib/log.ts';
import { type InstallResult, install } from '../../lib/netfilter/installer.ts';
import { FAMILIES } from '../../lib/netfilter/packet.ts';
import { countInvalid, type Evidence, readEvidence } from '../../lib/netfilter/proc.ts';
import { type RulesetCheck, summarize } from '../../lib/netfilter/ruleset-check.ts';
import { makeRulesetReader, type ReadRuleset, type SnapshotKeeping } from '../../lib/netfilter/ruleset-reader.ts';
import { withdraw } from '../../lib/netfilter/withdrawal.ts';
import { EnteredNamespace, type GuardedNamespace } from './entered-namespace.ts';
import { LiberalConntrack } from './liberal-conntrack.ts';
import { limitLog } from './limited-log.ts';
import type { ProgramSlots } from './program-slots.ts';

/** What the pod's author, or the installation, has chosen. */
export interface GuardSettings {
  mode: Mode;
  protocol: Protocol;
  onDrift: OnDrift;
  rescue: Rescue;
  beLiberal: BeLiberal;
}

export interface GuardDependencies {
  log: Log;
  /** Called when the state or its reason has changed. */
  onChange(state: GuardState): void;
  /** Milliseconds for each program. */
  commandTimeout: number;
  /** Milliseconds between checks where iptables-legacy holds tables, or nft monitor does not run. */
  interval: number;
  /** The node's /proc/sys/net, writable. */
  procSysNet: string;
  /** Of all guards together: how many programs run, and what they keep of rulesets. */
  slots: ProgramSlots;
  keeping: SnapshotKeeping;
  /** Of iptables: see withLockFile. */
  environment: NodeJS.ProcessEnv;
}

export interface GuardState {
  state: 'starting' | 'guarded' | 'not-guarded' | 'cannot-tell';
  /** One line. */
  reason: string;
  /** Milliseconds since 1970: when the pod was first guarded. */
  guardedAt?: number;
  /** The network namespace has gone: this guard does nothing any more. */
  gone?: true;
}

/** Milliseconds between checks where the kernel reports every change, at least and at most: not all pods at one time. */
const [SHORTEST_INTERVAL, LONGEST_INTERVAL] = [240_000, 300_000];
/** Milliseconds until a monitor that was started listens for certain. */
const RECHECK_AFTER = 2000;
/** Milliseconds between two checks that only count what was dropped. */
const COUNT_GAP = 30_000;
/** Milliseconds between checks at most, where a pod changes its ruleset all the time: each costs the node. */
const LONGEST_GAP = 10_000;
/** Milliseconds to wait for the xtables lock. */
const LOCK_WAIT = 5000;

export class NamespaceGuard {
  state: GuardState = { state: 'starting', reason: 'the cure is being put in' };
  private readonly settings: GuardSettings;
  private readonly dependencies: GuardDependencies;
  private readonly namespace: EnteredNamespace;
  private readonly liberal: LiberalConntrack;
  private readonly checking: NamespaceChecker;
  private readonly read: ReadRuleset;
  private readonly log: Log;
  private started = false;
  private stopped = false;
  /** Packets that conntrack had marked INVALID when the rules' counters were read last; null where it does not tell. */
  private invalidAtRead: number | null | undefined;
  private countedAt = Number.NEGATIVE_INFINITY;
  /** Milliseconds since 1970: when the cure was in, which is verified after that; undefined where it was there before. */
  private putInAt: number | undefined;
  /** Whether a rule of this pod was put in by this guard. */
  private hasInserted = false;
  /** Milliseconds since 1970: no rule that drops was there before; undefined where one was. */
  private countsSince: number | undefined;

  constructor(namespace: GuardedNamespace, settings: GuardSettings, dependencies: GuardDependencies) {
    const { commandTimeout, interval, procSysNet, slots, keeping } = dependencies;
    this.settings = settings;
    this.dependencies = dependencies;
    const log = limitLog(dependencies.log);
    // What still runs when it ends is of no interest.
    this.log = (...line) => this.stopped || log(...line);
    this.namespace = new EnteredNamespace(namespace, { slots, procSysNet, timeout: commandTimeout });
    this.liberal = new LiberalConntrack(this.namespace, this.log);
    const read = makeRulesetReader(commandTimeout, this.namespace, keeping);
    this.read = async (quiet) => {
      await this.namespace.makeVisible();
      // Before the counters: what is dropped while they are read makes the next look count again.
      this.invalidAtRead = this.countInvalid();
      return read(quiet);
    };
    const reportedInterval = SHORTEST_INTERVAL + Math.random() * (LONGEST_INTERVAL - SHORTEST_INTERVAL);
    this.checking = new NamespaceChecker(
      { mode: settings.mode, onDrift: settings.onDrift, interval, reportedInterval },
      {
        namespace: this.namespace,
        read: this.read,
        install: (found) => this.install(found),
        log: this.log,
        commandTimeout,
        afterCheck: () => this.afterCheck(),
        installsFirst: true,
        longestGap: LONGEST_GAP,
        recheckAfter: RECHECK_AFTER,
        // With many pods, a look at each one's count every second would cost more CPU than all else.
        hearsAlarm: settings.beLiberal === 'disabled',
      },
    );
  }

  /**
   * Puts the cure in, verifies it, and keeps verifying it. Never throws.
   * @returns after the first check
   */
  async start(): Promise<void> {
    if (this.started || this.stopped) return;
    this.started = true;
    try {
      this.namespace.open();
    } catch {
      this.lose();
      return;
    }
    await this.checking.start();
  }

  /** The agent calls it for all pods every few seconds: cheap where nothing has happened. */
  look(): void {
    if (!this.started || this.stopped) return;
    if (!this.namespace.isThere()) {
      this.lose();
      return;
    }
    this.update();
    const now = performance.now();
    if (now - this.countedAt < COUNT_GAP || !this.namespace.isVisible()) return;
    if (this.invalidAtRead === undefined || this.invalidAtRead === this.countInvalid()) return;
    this.countedAt = now;
    this.checking.checkNow();
  }

  /**
   * Takes out what was put in, but for nf_conntrack_tcp_be_liberal: connections may rely on it. Then it stops. Needs no
   * start.
   * @throws CodedError WITHDRAWAL_FAILED, or as reading the ruleset does; not where the namespace has gone
   */
  async withdraw(): Promise<void> {
    const { commandTimeout: timeout, environment } = this.dependencies;
    const { protocol } = this.settings;
    this.stopped = true;
    await this.checking.stop();
    if (!this.namespace.isThere()) return this.namespace.close();
    try {
      this.namespace.open();
      const protocols: Protocol[] = protocol === 'all' && this.hasInserted ? ['tcp', 'all'] : ['tcp'];
      await withdraw(this.read, this.namespace, { protocols, timeout, environment });
    } finally {
      this.namespace.close();
    }
  }

  /**
   * Ends its child and its timers. What it has put in stays.
   * @returns after the check that runs, if one does
   */
  async stop(): Promise<void> {
    this.stopped = true;
    await this.checking.stop();
    this.namespace.close();
  }

  /** How often the rule was found gone. */
  get drift(): number {
    return this.checking.checker.drift;
  }

  /** Path of a file of the pod's /proc/net. @throws CodedError NAMESPACE_UNSEEN */
  netPath(file: string): string {
    return this.namespace.netPath(file);
  }

  /** All that is known of the pod, as plain data. */
  report() {
    const { isSet, drift, repairs, failure } = this.liberal;
    const wanted = this.settings.beLiberal;
    return {
      ...this.state,
      ...(this.putInAt !== undefined && { putInAt: this.putInAt }),
      ...(this.countsSince !== undefined && { countsSince: this.countsSince }),
      ...this.checking.report(this.evidence()),
      beLiberal: { wanted, set: isSet ?? null, drift, repairs, ...(failure !== undefined && { failure }) },
    };
  }

  /** Null, too, where it cannot be read: a look at one pod must not end those at others. */
  private countInvalid(): number | null {
    try {
      return countInvalid(this.namespace);
    } catch {
      return null;
    }
  }

  private evidence(): Evidence {
    try {
      if (this.namespace.isVisible()) return readEvidence(this.namespace);
    } catch {
      // As if it were not visible: the last check says why.
    }
    return { kernelRelease: release(), tcpBeLiberal: null, conntrackInvalid: null, tcpResetsSent: null };
  }

  private async install(found: RulesetCheck | undefined): Promise<InstallResult> {
    const { commandTimeout, environment } = this.dependencies;
    const started = performance.now();
    const isFirst = found === undefined;
    // The first check needs the range of ephemeral ports.
    const sysctls = isFirst ? this.prepareSysctls() : undefined;
    let reads = 0;
    const read = async () => {
      // The second time it reads back what was put in.
      if (isFirst && reads++ === 1) this.putInAt = Date.now();
      const [snapshot] = await Promise.all([this.read(), sysctls]);
      // The child that showed it may have ended meanwhile.
      await this.namespace.makeVisible();
      return snapshot;
    };
    const { protocol } = this.settings;
    const options = { protocol, backend: 'auto', lockWait: LOCK_WAIT, commandTimeout, environment } as const;
    const result = await install(read, options, this.namespace, found);
    this.hasInserted ||= FAMILIES.some((family) => result.families[family].action === 'inserted');
    if (isFirst) {
      const { families, exemption } = result;
      // Counters of a rule that is left have counted since before.
      if (FAMILIES.every((family) => families[family].action !== 'left')) this.countsSince = this.putInAt;
      this.log('info', 'installed', { families, exemption, milliseconds: performance.now() - started });
    }
    return result;
  }

  /** Beside the first listing, so that a new pod does not wait for one after the other. */
  private async prepareSysctls(): Promise<void> {
    if (this.settings.beLiberal === 'enabled') await this.liberal.prepare();
    else await this.namespace.readSysctls().catch(() => undefined);
  }

  private async afterCheck(): Promise<void> {
    if (this.stopped) return;
    if (!this.namespace.isThere()) {
      this.lose();
      return;
    }
    const { beLiberal, onDrift, rescue } = this.settings;
    if (this.checking.checker.last) {
      if (beLiberal === 'enabled') await this.liberal.hold(onDrift === 'repair');
      else await this.namespace.readSysctls().catch(() => undefined);
      // What cannot be made liberal as a whole is rescued connection by connection.
      if (rescue === 'enabled' && (beLiberal === 'disabled' || this.liberal.failure !== undefined)) {
        this.checking.startRescue();
      }
    }
    // Also where it failed: a pod of which no check succeeds must not go before all others for ever.
    this.namespace.urgent = false;
    this.update();
  }

  private update(): void {
    if (this.stopped) return;
    const { checker } = this.checking;
    const outdated = checker.outdated();
    if (!checker.last) {
      const failure = checker.failure;
      if (failure !== undefined) this.setState({ state: 'cannot-tell', reason: failure });
    } else if (outdated !== undefined) {
      this.setState({ state: 'cannot-tell', reason: [outdated, checker.failure ?? []].flat().join(': ') });
    } else if (checker.guarded) {
      this.setState({ state: 'guarded', reason: 'INVALID TCP packets are dropped' });
    } else {
      const state = summarize(checker.last) === 'not guarded' ? 'not-guarded' : 'cannot-tell';
      this.setState({ state, reason: checker.unguarded() ?? '' });
    }
  }

  private setState(next: GuardState): void {
    const { state, reason, guardedAt = next.state === 'guarded' ? Date.now() : undefined } = this.state;
    if (state === next.state && reason === next.reason) return;
    this.state = { ...next, ...(guardedAt !== undefined && { guardedAt }) };
    this.dependencies.onChange(this.state);
  }

  /** The namespace has gone: there is nothing left to do. */
  private lose(): void {
    this.log('info', 'namespace-gone', { message: 'the network namespace of the pod has gone' });
    void this.stop();
    this.setState({ state: 'starting', reason: 'the network namespace of the pod has gone', gone: true });
  }
}
