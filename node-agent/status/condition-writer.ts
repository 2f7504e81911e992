// Writes our condition into the status of pods, and nothing else. Only what has changed is written, the latest wish for
// each pod wins, and an API server that is away is asked ever more seldom.

import { ApiError, reasonOf } from '../../lib/cluster/api-error.ts';
import type { OperatorClient } from '../../lib/cluster/cluster-client.ts';
import { GUARDED_CONDITION } from '../../lib/contract.ts';
import type { JsonObject } from '../../lib/json.ts';
import type { StructuredLog } from '../../lib/log.ts';
import type { GuardedCondition } from '../../lib/pod/guarded-condition.ts';
import type { NodePod } from '../pods/node-pod.ts';
import type { WantedCondition } from './wanted-condition.ts';

/** What became of a write. The agent's metrics have a label for each. */
export const WRITE_RESULTS = {
  written: 'the API server took it',
  gone: 'the pod is gone, or another one has its name',
  refused: 'RBAC or an admission policy forbids it',
  failed: 'the API server was away or failed; it is tried again',
} as const;
export type WriteResult = keyof typeof WRITE_RESULTS;

export interface ConditionWriterOptions {
  client: Pick<OperatorClient, 'mergePatch'>;
  log: Pick<StructuredLog, 'warn'>;
  /** Milliseconds of a clock that nobody sets. */
  now(): number;
  /** Milliseconds since 1970. */
  date(): number;
  /** Milliseconds to wait after that many failures in a row. */
  retryDelay(failures: number): number;
}

interface PodState {
  pod: Pick<NodePod, 'uid' | 'namespace' | 'name' | 'condition'>;
  wanted: WantedCondition | undefined;
  /** As written last. It counts until the watch has told of it. */
  written: GuardedCondition | undefined;
  writtenAt: number;
  busy: boolean;
  /** Writes that the pod may have now; one more every REFILL_MS. */
  tokens: number;
  refilledAt: number;
  failures: number;
  /** Not before this time. */
  after: number;
}

const AT_ONCE = 4;
/** Writes for one pod: what runs in it may change its verdict as often as it likes. */
const [BURST, REFILL_MS] = [5, 10_000];
/** Milliseconds between two writes of which only the message differs. */
const MESSAGE_MS = 60_000;
/** Milliseconds until a refused write is tried again: a policy changes seldom. */
const REFUSED_MS = 300_000;
/** Milliseconds for which a written condition counts though the watch does not tell of it. */
const WRITTEN_MS = 60_000;
/** More than a node has. */
const MOST_PODS = 1000;
const [TOO_MANY, FORBIDDEN] = [429, 403];
/** No such pod; another uid (conflict, or invalid). A conflict of another kind is met by the next comparison. */
const GONE = [404, 409, 410, 422];

export class ConditionWriter {
  readonly results: Record<WriteResult, number> = { written: 0, gone: 0, refused: 0, failed: 0 };
  private readonly pods = new Map<string, PodState>();
  private readonly options: ConditionWriterOptions;
  private active = 0;
  private failures = 0;
  private pausedUntil = Number.NEGATIVE_INFINITY;
  private saidRefused = false;
  private stopped = false;
  private timer: NodeJS.Timeout | undefined;

  constructor(options: ConditionWriterOptions) {
    this.options = options;
  }

  /** What the pod's condition is to say. Nothing is written where it says so already. */
  want(pod: PodState['pod'], wanted: WantedCondition): void {
    const state = this.stateOf(pod);
    if (state === undefined) return;
    state.pod = pod;
    state.wanted = isSame(this.present(pod), wanted) ? undefined : wanted;
    this.next();
  }

  /** The pod's condition: as written last, or as in its status. */
  present(pod: PodState['pod']): GuardedCondition | undefined {
    const state = this.pods.get(pod.uid);
    if (state?.written === undefined) return pod.condition;
    const isOld = this.options.now() - state.writtenAt >= WRITTEN_MS;
    if (isOld || (pod.condition !== undefined && isSame(pod.condition, state.written))) state.written = undefined;
    return state.written ?? pod.condition;
  }

  /** The pod is gone. */
  forget(uid: string): void {
    this.pods.delete(uid);
  }

  /** How many pods wait for a write. */
  waiting(): number {
    return [...this.pods.values()].filter(({ wanted }) => wanted !== undefined).length;
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  private stateOf(pod: PodState['pod']): PodState | undefined {
    const known = this.pods.get(pod.uid);
    if (known !== undefined || this.pods.size >= MOST_PODS) return known;
    const state: PodState = {
      ...{ pod, wanted: undefined, written: undefined, busy: false, tokens: BURST, failures: 0 },
      ...{ writtenAt: Number.NEGATIVE_INFINITY, refilledAt: this.options.now(), after: Number.NEGATIVE_INFINITY },
    };
    this.pods.set(pod.uid, state);
    return state;
  }

  /** Starts the writes that may run now, and sets the timer for the next one. */
  private next(): void {
    clearTimeout(this.timer);
    if (this.stopped) return;
    const now = this.options.now();
    let earliest = Number.POSITIVE_INFINITY;
    for (const state of this.pods.values()) {
      if (state.wanted === undefined || state.busy) continue;
      const at = this.timeFor(state, state.wanted);
      if (at > now) earliest = Math.min(earliest, at);
      else if (this.active < AT_ONCE) void this.write(state, state.wanted);
    }
    if (earliest < Number.POSITIVE_INFINITY) this.timer = setTimeout(() => this.next(), earliest - now + 1);
  }

  private timeFor(state: PodState, wanted: WantedCondition): number {
    const refills = Math.floor((this.options.now() - state.refilledAt) / REFILL_MS);
    state.tokens = Math.min(BURST, state.tokens + refills);
    state.refilledAt += refills * REFILL_MS;
    const token = state.tokens > 0 ? state.refilledAt : state.refilledAt + REFILL_MS;
    const present = this.present(state.pod);
    const saysMore = present?.status !== wanted.status || present.reason !== wanted.reason;
    return Math.max(this.pausedUntil, state.after, token, saysMore ? 0 : state.writtenAt + MESSAGE_MS);
  }

  private async write(state: PodState, wanted: WantedCondition): Promise<void> {
    const condition = this.withTime(wanted, this.present(state.pod));
    state.busy = true;
    state.tokens -= 1;
    this.active += 1;
    try {
      await this.options.client.mergePatch(statusPath(state.pod), statusPatch(state.pod, condition));
      this.accept(state, condition);
    } catch (error) {
      this.fail(state, error);
    }
    state.busy = false;
    this.active -= 1;
    this.next();
  }

  private withTime(wanted: WantedCondition, present: GuardedCondition | undefined): GuardedCondition {
    const isKept = present?.status === wanted.status && present.since > 0;
    return { ...wanted, since: isKept ? present.since : Math.floor(this.options.date() / 1000) };
  }

  private accept(state: PodState, condition: GuardedCondition): void {
    this.results.written += 1;
    this.failures = 0;
    this.saidRefused = false;
    state.failures = 0;
    state.written = condition;
    state.writtenAt = this.options.now();
    if (state.wanted && isSame(condition, state.wanted)) state.wanted = undefined;
  }

  private fail(state: PodState, error: unknown): void {
    const { namespace, name: pod } = state.pod;
    const { log, now, retryDelay } = this.options;
    const status = error instanceof ApiError ? error.status : undefined;
    if (status !== undefined && GONE.includes(status)) {
      this.results.gone += 1;
      state.wanted = undefined;
      return;
    }
    if (status === FORBIDDEN) {
      this.results.refused += 1;
      state.after = now() + REFUSED_MS;
      if (!this.saidRefused) log.warn({ namespace, pod, reason: reasonOf(error) }, 'a condition was refused');
      this.saidRefused = true;
      return;
    }
    this.results.failed += 1;
    state.failures += 1;
    const retryMs = retryDelay(state.failures);
    state.after = now() + retryMs;
    const isAway = status === undefined || status === TOO_MANY || status >= 500;
    // Nothing was written, and it is no fault of the pod's.
    if (isAway) state.tokens += 1;
    // Those that failed at the same time have the same cause.
    if (now() < this.pausedUntil) return;
    log.warn({ namespace, pod, reason: reasonOf(error), retryMs }, 'a condition could not be written');
    if (!isAway) return;
    this.failures += 1;
    this.pausedUntil = now() + retryDelay(this.failures);
  }
}

function isSame(present: GuardedCondition | WantedCondition | undefined, wanted: WantedCondition | GuardedCondition) {
  const { status, reason, message } = wanted;
  return present?.status === status && present.reason === reason && present.message === message;
}

function statusPath({ namespace, name }: PodState['pod']): string {
  return `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}/status`;
}

/**
 * A strategic merge patch: the conditions of a pod are merged by type. With its uid the API server refuses it for another
 * pod of that name.
 */
export function statusPatch(
  { uid }: { uid: string },
  { status, reason, message, since }: GuardedCondition,
): JsonObject {
  const lastTransitionTime = new Date(since * 1000).toISOString().replace('.000Z', 'Z');
  const condition = { type: GUARDED_CONDITION, status, reason, message, lastTransitionTime };
  return { metadata: { uid }, status: { conditions: [condition] } };
}
