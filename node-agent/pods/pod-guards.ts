// Brings what the agent does for each pod in line with its duty: finds its network namespace, starts, keeps and ends its
// guard, withdraws, and has its condition written.

import type { Sink } from '../../lib/cluster/reflector.ts';
import type { NodeMode } from '../../lib/contract.ts';
import { describeError } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';
import type { ConditionWriter } from '../status/condition-writer.ts';
import { type PodFinding, wantedCondition } from '../status/wanted-condition.ts';
import type { LabelledNamespace, NodePod } from './node-pod.ts';
import { dutyOf, type PodDuty } from './pod-duty.ts';
import { atOnce } from './start-queue.ts';

/** A network namespace, as it was found. */
export interface PodSandbox {
  path: string;
  inode: bigint | number;
  foundBy: string;
}

export interface PodFinder {
  find(pod: Pick<NodePod, 'uid' | 'namespace' | 'name' | 'addresses'>): Promise<PodSandbox | { missing: string }>;
}

/** What keeps one network namespace guarded. */
export interface PodGuard {
  readonly state: {
    state: 'starting' | 'guarded' | 'not-guarded' | 'cannot-tell';
    reason: string;
    /** Its network namespace has gone: it does nothing any more. */
    gone?: true;
  };
  /** Ends when the first check has been made. */
  start(): unknown;
  /** A look at what costs nothing; called every few seconds. */
  look(): unknown;
  /** Takes out what is ours, and stops. */
  withdraw(): Promise<void>;
  /** What is ours stays. Ends when nothing is done in the namespace any more. */
  stop(): unknown;
}

export interface PodGuardsOptions<Guard extends PodGuard> {
  nodeMode: NodeMode;
  finder: PodFinder;
  /** @param changed to be called when the guard's state has changed */
  makeGuard(pod: NodePod, sandbox: PodSandbox, changed: () => void): Guard;
  /** Whether conntrack is liberal in it; undefined where that cannot be read. Never rejects. */
  isLiberal(sandbox: PodSandbox): Promise<boolean | undefined>;
  conditions: Pick<ConditionWriter, 'want' | 'present' | 'forget'>;
  /** Told once for each namespace that was found: seconds from then until it was guarded. */
  noteStart(seconds: number): void;
  log: Log;
  /** Milliseconds of a clock that nobody sets. */
  now(): number;
}

export const GUARDED_POD_STATES = [
  ...(['guarded', 'not-guarded', 'cannot-tell', 'starting', 'no-namespace', 'withdrawing', 'left-alone'] as const),
];
export type GuardedPodState = (typeof GUARDED_POD_STATES)[number];

/** A pod, for pages and metrics. */
export interface PodOutcome<Guard> {
  pod: NodePod;
  state: GuardedPodState;
  reason: string;
  sandbox: PodSandbox | undefined;
  guard: Guard | undefined;
  /** Whether its conntrack is liberal, as a mere look has told. */
  liberal: boolean | undefined;
}

interface Entry<Guard> {
  pod: NodePod;
  duty: PodDuty;
  guard: Guard | undefined;
  sandbox: PodSandbox | undefined;
  /** Options that the guard was made with. */
  options: string;
  /** Why its network namespace was not found; undefined where it was, or was not looked for. */
  missing: string | undefined;
  /** Where the namespace is must be asked again. */
  stale: boolean;
  askedAt: number;
  /** Our rule may be in it, because of this very process. */
  touched: boolean;
  withdrawn: boolean;
  /** What the last look has told, where the duty is to look. */
  liberal: boolean | undefined;
  /** This process has seen it guarded. */
  verified: boolean;
  state: GuardedPodState | undefined;
  stateSince: number;
  gone: boolean;
  /** Something changed while the last step was under way. */
  again: boolean;
  working: boolean;
}

/** Pods whose cure is put in at the same time: each runs some programs, and a node may have a hundred new pods at once. */
const STARTS_AT_ONCE = 4;
/** Milliseconds after which a start no longer keeps others from theirs: what runs in a pod decides how long it takes. */
const START_LIMIT = 5000;
/** Milliseconds after which a pod is let go of though our rule could not be taken out. */
const WITHDRAWAL_LIMIT = 10_000;
/** Milliseconds between two searches for a namespace that was not found: from the first to the last. */
const [SEARCH_FIRST, SEARCH_LAST] = [2000, 30_000];
/** Milliseconds between two looks at a pod: a sysctl hardly ever changes, and only by a privileged program. */
const LOOK_AGAIN = 600_000;

export class PodGuards<Guard extends PodGuard> {
  private readonly options: PodGuardsOptions<Guard>;
  private readonly entries = new Map<string, Entry<Guard>>();
  private readonly labels = new Map<string, Record<string, string>>();
  private readonly starts = atOnce(STARTS_AT_ONCE, START_LIMIT);
  private readonly listed = { pods: false, namespaces: false };
  private stopped = false;
  private hostAddresses: string[] = [];
  /** Uids of the pods that were there at the start and have not been checked; undefined until all was listed. */
  private unchecked: Set<string> | undefined;

  /** To be fed by the watches. */
  readonly pods: Sink<NodePod> = {
    replace: (items) => {
      const there = new Set(items.map(({ uid }) => uid));
      for (const entry of [...this.entries.values()]) if (!there.has(entry.pod.uid)) this.remove(entry.pod);
      this.listed.pods = true;
      for (const item of items) this.put(item);
      this.begin();
    },
    put: (item) => this.put(item),
    remove: (item) => this.remove(item),
  };
  readonly namespaces: Sink<LabelledNamespace> = {
    replace: (items) => {
      this.labels.clear();
      for (const { name, labels } of items) this.labels.set(name, labels);
      this.listed.namespaces = true;
      this.evaluateAll();
      this.begin();
    },
    put: ({ name, labels }) => {
      this.labels.set(name, labels);
      this.evaluateAll(name);
    },
    // With the label a namespace leaves the selector of the watch.
    remove: ({ name }) => {
      this.labels.delete(name);
      this.evaluateAll(name);
    },
  };

  constructor(options: PodGuardsOptions<Guard>) {
    this.options = options;
  }

  /** The network namespace of a pod has come, changed or gone; null: that of any pod. */
  sandboxChanged(uid: string | null): void {
    const changed = uid === null ? [...this.entries.values()] : [this.entries.get(uid)];
    for (const entry of changed) {
      if (entry === undefined) continue;
      entry.stale = true;
      this.work(entry);
    }
  }

  /** To be called every few seconds. */
  tick(): void {
    for (const entry of this.entries.values()) {
      entry.guard?.look();
      if (this.searchDue(entry)) {
        entry.stale = true;
        this.work(entry);
      }
      this.tell(entry);
    }
  }

  /** Pods and namespaces were listed, and each pod that was there then has been checked, or has no network namespace. */
  settled(): boolean {
    for (const uid of this.unchecked ?? []) {
      const entry = this.entries.get(uid);
      if (entry === undefined || isChecked(entry)) this.unchecked?.delete(uid);
    }
    return this.unchecked?.size === 0;
  }

  listedAll(): boolean {
    return this.listed.pods && this.listed.namespaces;
  }

  /** Addresses of the node, as the status of its pods says. */
  nodeAddresses(): string[] {
    return this.hostAddresses;
  }

  /** Pods that agents have to do with. */
  *outcomes(): Generator<PodOutcome<Guard>> {
    for (const { pod, state, duty, missing, guard, sandbox, liberal } of this.entries.values()) {
      if (state === undefined) continue;
      const reason = duty.kind === 'guard' ? (guard?.state.reason ?? missing ?? 'starting') : duty.why;
      yield { pod, state, reason, sandbox, guard, liberal };
    }
  }

  /** Ends the children. Rules and conditions stay. */
  stop(): void {
    this.stopped = true;
    for (const { guard } of this.entries.values()) void guard?.stop();
  }

  private begin(): void {
    if (!this.listedAll() || this.unchecked !== undefined) return;
    this.unchecked = new Set(this.entries.keys());
  }

  private put(pod: NodePod): void {
    if (pod.hostAddresses.length > 0) this.hostAddresses = pod.hostAddresses;
    const known = this.entries.get(pod.uid);
    if (known === undefined) {
      const entry = newEntry<Guard>(pod, this.options.now());
      this.entries.set(pod.uid, entry);
      this.evaluate(entry);
      return;
    }
    // Until then its addresses could not be compared with those in its namespace.
    if (known.pod.addresses.join() !== pod.addresses.join()) known.stale = true;
    known.pod = pod;
    this.evaluate(known);
  }

  private remove({ uid }: NodePod): void {
    const entry = this.entries.get(uid);
    this.entries.delete(uid);
    this.options.conditions.forget(uid);
    if (entry === undefined) return;
    entry.gone = true;
    void endGuard(entry);
  }

  private evaluateAll(namespace?: string): void {
    for (const entry of this.entries.values()) {
      if (namespace === undefined || entry.pod.namespace === namespace) this.evaluate(entry);
    }
  }

  private evaluate(entry: Entry<Guard>): void {
    const { pod, touched } = entry;
    const labels = this.labels.get(pod.namespace);
    const condition = this.options.conditions.present(pod);
    entry.duty = dutyOf({ ...pod, condition }, { labels, nodeMode: this.options.nodeMode, guardedHere: touched });
    if (entry.duty.kind === 'guard') entry.withdrawn = false;
    if (entry.duty.kind !== 'look') entry.liberal = undefined;
    this.work(entry);
  }

  /** Until all namespaces are known, nothing is done: a pod would seem not to be opted in. */
  private work(entry: Entry<Guard>): void {
    entry.again = true;
    if (!entry.working && this.listedAll()) void this.steps(entry);
  }

  private async steps(entry: Entry<Guard>): Promise<void> {
    entry.working = true;
    while (entry.again && !entry.gone && !this.stopped) {
      entry.again = false;
      try {
        await this.step(entry);
      } catch (error) {
        const { namespace, name: pod } = entry.pod;
        this.options.log('error', 'pod-failed', { namespace, pod, ...describeError(error) });
      }
      this.tell(entry);
    }
    entry.working = false;
  }

  private async step(entry: Entry<Guard>): Promise<void> {
    if (entry.duty.kind === 'guard') return this.keepGuard(entry);
    if (entry.duty.kind === 'withdraw' && !entry.withdrawn) return this.withdraw(entry);
    await endGuard(entry);
    if (entry.duty.kind === 'look' && (entry.stale || entry.liberal === undefined)) await this.look(entry);
  }

  private async look(entry: Entry<Guard>): Promise<void> {
    const found = await this.search(entry);
    const liberal = found && (await this.options.isLiberal(found));
    if (entry.duty.kind === 'look') entry.liberal = liberal;
  }

  private async keepGuard(entry: Entry<Guard>): Promise<void> {
    const options = JSON.stringify(entry.pod.options);
    entry.withdrawn = false;
    if (!entry.stale && entry.guard !== undefined && entry.options === options) return;
    const found = await this.search(entry);
    // What has changed meanwhile is the next step's.
    if (entry.duty.kind !== 'guard') return;
    if (found === undefined) return void endGuard(entry);
    if (entry.guard !== undefined && isSame(entry.sandbox, found) && entry.options === options) return;
    // Two guards in one namespace would put in the rule twice.
    await endGuard(entry);
    if (entry.gone || this.stopped || entry.duty.kind !== 'guard') return;
    const guard = this.makeGuard(entry, found);
    entry.options = options;
    entry.touched = true;
    this.tell(entry);
    await this.starts(async () => {
      if (entry.guard === guard) await guard.start();
    });
  }

  /** @returns undefined where it is not there */
  private async search(entry: Entry<Guard>): Promise<PodSandbox | undefined> {
    entry.stale = false;
    entry.askedAt = this.options.now();
    const found = await this.options.finder.find(entry.pod);
    entry.missing = 'missing' in found ? found.missing : undefined;
    return 'missing' in found ? undefined : found;
  }

  private makeGuard(entry: Entry<Guard>, found: PodSandbox): Guard {
    const foundAt = this.options.now();
    let told = false;
    const guard: Guard = this.options.makeGuard(entry.pod, found, () => {
      if (entry.guard !== guard) return;
      if (guard.state.state === 'guarded' && !told) {
        told = true;
        this.options.noteStart((this.options.now() - foundAt) / 1000);
      }
      if (guard.state.gone) {
        void endGuard(entry);
        entry.stale = true;
        this.work(entry);
      } else this.tell(entry);
    });
    entry.guard = guard;
    entry.sandbox = found;
    return guard;
  }

  private async withdraw(entry: Entry<Guard>): Promise<void> {
    entry.askedAt = this.options.now();
    entry.touched = true;
    if (entry.guard === undefined) {
      const found = await this.search(entry);
      if (found === undefined || entry.gone || entry.duty.kind !== 'withdraw') return;
      this.makeGuard(entry, found);
    }
    // It guards no more, also where this fails: a pod that is opted in again gets a new one.
    entry.options = '';
    await entry.guard?.withdraw();
    entry.guard = undefined;
    entry.sandbox = undefined;
    entry.touched = false;
    entry.withdrawn = true;
    const { namespace, name: pod } = entry.pod;
    this.options.log('info', 'withdrawn', { namespace, pod });
  }

  /** A namespace that was not found is searched for again, ever more seldom; so is one that could not be withdrawn from. */
  private searchDue({ duty, guard, withdrawn, liberal, askedAt, stateSince, working }: Entry<Guard>): boolean {
    const now = this.options.now();
    const isLook = duty.kind === 'look';
    if (isLook && liberal !== undefined && !working) return now - askedAt >= LOOK_AGAIN;
    const lacks = isLook || (duty.kind === 'guard' && guard === undefined) || (duty.kind === 'withdraw' && !withdrawn);
    if (!lacks || working) return false;
    const pause = Math.min(Math.max((now - stateSince) / 4, SEARCH_FIRST), SEARCH_LAST);
    return now - askedAt >= pause;
  }

  /** Has the condition say what is known now. */
  private tell(entry: Entry<Guard>): void {
    if (entry.gone || this.stopped || !this.listedAll()) return;
    const { pod, duty, guard } = entry;
    const { conditions, now } = this.options;
    if (guard?.state.state === 'guarded') entry.verified = true;
    const state = stateOf(entry, this.labels.has(pod.namespace));
    if (state !== entry.state) entry.stateSince = now();
    entry.state = state;
    const finding = findingOf(entry, now() - entry.stateSince);
    if (finding === undefined) return;
    const wanted = wantedCondition(finding, {
      mode: pod.options.mode,
      gate: pod.gate,
      present: conditions.present(pod),
      wrong: duty.kind === 'guard' ? pod.wrong : '',
      age: now() - entry.stateSince,
    });
    if (wanted !== undefined) conditions.want(pod, wanted);
  }
}

function newEntry<Guard>(pod: NodePod, now: number): Entry<Guard> {
  return {
    pod,
    duty: { kind: 'leave', why: '', settle: false },
    ...{ guard: undefined, sandbox: undefined, options: '', missing: undefined, stale: true },
    ...{ askedAt: Number.NEGATIVE_INFINITY, touched: false, withdrawn: false, verified: false },
    liberal: undefined,
    ...{ state: undefined, stateSince: now, gone: false, again: false, working: false },
  };
}

async function endGuard<Guard extends PodGuard>(entry: Entry<Guard>): Promise<void> {
  const ended = entry.guard?.stop();
  entry.guard = undefined;
  entry.sandbox = undefined;
  await ended;
}

function isSame(known: PodSandbox | undefined, found: PodSandbox): boolean {
  return known?.path === found.path && known.inode === found.inode;
}

function isChecked<Guard extends PodGuard>({ duty, guard, missing }: Entry<Guard>): boolean {
  if (duty.kind !== 'guard') return true;
  return guard === undefined ? missing !== undefined : guard.state.state !== 'starting';
}

/** @param age milliseconds for which the pod has been in its state */
function findingOf<Guard extends PodGuard>(
  { duty, guard, missing, withdrawn, verified, liberal }: Entry<Guard>,
  age: number,
): PodFinding | undefined {
  if (duty.kind === 'leave') return duty.settle ? { state: 'left', reason: duty.why } : undefined;
  if (duty.kind === 'look') return liberal === undefined ? undefined : { state: liberal ? 'liberal' : 'strict' };
  if (duty.kind === 'withdraw') {
    if (withdrawn) return { state: 'left', reason: duty.why };
    // It is tried on, but nothing is held back meanwhile: a pod that was not Ready would never become so.
    return age < WITHDRAWAL_LIMIT ? undefined : { state: 'left', reason: `${duty.why}; our rule may still be there` };
  }
  if (guard !== undefined) return { ...guard.state, verified };
  return missing === undefined ? undefined : { state: 'no-namespace', reason: missing };
}

/** @returns undefined for a pod that agents have nothing to do with */
function stateOf<Guard extends PodGuard>(
  { duty, guard, missing, withdrawn }: Entry<Guard>,
  optedIn: boolean,
): GuardedPodState | undefined {
  if (duty.kind === 'guard') return guard?.state.state ?? (missing === undefined ? 'starting' : 'no-namespace');
  if (duty.kind === 'withdraw' && !withdrawn) return 'withdrawing';
  return optedIn || duty.kind !== 'leave' || duty.settle ? 'left-alone' : undefined;
}
