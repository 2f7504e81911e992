// Decides on each reset: which pod sent it, and why. Keeps the counts.
import type { Log } from '../../lib/log.ts';
import { type AttributedReset, classifyReset } from '../../lib/resets/classified-reset.ts';
import { KINDS, type ResetKind, resetKindOf } from '../../lib/resets/reset-kind.ts';
import { isOfListener } from '../../lib/resets/reset-origin.ts';
import type { Reset } from '../../lib/resets/trace-line.ts';
import { BugResetLog } from './bug-reset-log.ts';
import { PodEvidence } from './pod-evidence.ts';
import { PodResetCounter, type PodResets } from './reset-counts.ts';
import type { WatchedNamespace } from './watched-namespace.ts';

/** Milliseconds until a guard has noticed that its rule is gone: a reset of a guarded pod is decided on after them. */
const SETTLE = 3000;
/** Resets that wait for that; what comes beyond is decided at once. */
const MOST_UNDECIDED = 1000;

/** A reset that was prevented, if the pod was guarded as its guard believes. */
interface UndecidedReset {
  reset: Reset;
  watched: WatchedNamespace;
  /** When it can have been sent at the earliest. */
  from: number;
  /** Its kind if the pod was guarded. */
  otherwise: ResetKind;
}

export class ResetJudge {
  private readonly counter = new PodResetCounter();
  private readonly evidence: PodEvidence;
  private readonly bugLog: BugResetLog;
  private undecided: UndecidedReset[] = [];

  /** @param now milliseconds of a clock that nobody sets */
  constructor(log: Log, now: () => number) {
    this.evidence = new PodEvidence(now);
    this.bugLog = new BugResetLog(log, now);
  }

  /**
   * Takes the resets that were read together. Is called without any, too: counters are then read from time to time, and
   * resets are decided on that have waited.
   * @param from when they can have been sent at the earliest
   * @param now when they were read
   */
  take(resets: Reset[], namespaces: WatchedNamespace[], from: number, now: number): void {
    this.evidence.observe(namespaces);
    this.evidence.read(resets);
    for (const reset of mostTellingFirst(resets)) this.count(classifyReset(reset, this.evidence), from);
    this.decide(now);
    this.counter.keep(namespaces);
    this.bugLog.keep(new Set(namespaces.map(({ id }) => id)));
  }

  counts(): PodResets[] {
    return this.counter.all();
  }

  private count(attributed: AttributedReset, from: number): void {
    const { kind, sender } = attributed;
    const watched = sender && this.evidence.watched(sender.id);
    if (sender) this.evidence.useReset(sender.id);
    if (KINDS[kind].bug && watched) this.countBug(watched, attributed, from);
    else this.counter.add(watched, kind);
  }

  private countBug(watched: WatchedNamespace, { reset, origin }: AttributedReset, from: number): void {
    const why = this.evidence.whyNotPrevented(watched.id, from);
    const otherwise = resetKindOf(
      reset,
      origin.candidates.map((one) => ({ ...one, invalidGrew: 0 })),
    );
    if (why !== undefined) this.addBug(watched, reset, why);
    else if (this.undecided.length < MOST_UNDECIDED) this.undecided.push({ reset, watched, from, otherwise });
    else this.counter.add(watched, otherwise);
  }

  /** Decides on the resets of guarded pods for which a guard had the time to notice that its rule was gone. */
  private decide(now: number): void {
    const waits = this.undecided.filter(({ from }) => now - from < SETTLE);
    for (const { reset, watched, from, otherwise } of this.undecided.slice(0, this.undecided.length - waits.length)) {
      const why = this.evidence.whyNotPrevented(watched.id, from);
      if (why === undefined) this.counter.add(watched, otherwise);
      else this.addBug(watched, reset, why);
    }
    this.undecided = waits;
  }

  private addBug(watched: WatchedNamespace, reset: Reset, why: string): void {
    this.counter.add(watched, 'this-bug');
    this.bugLog.add(watched, reset, why);
  }
}

/** Those whose address identifies the sender: what they account for in its counters is not taken for another one's. */
function mostTellingFirst(resets: Reset[]): Reset[] {
  return [...resets.filter((one) => !isOfListener(one)), ...resets.filter(isOfListener)];
}
