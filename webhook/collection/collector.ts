// Asks the checkers of guarded pods for their figures, in rounds: five pods a second at most, each once a minute at most.
import type { AskResult } from './ask-checker.ts';
import { type CountedPod, createTrafficHistory, type TrafficHistory } from './traffic-history.ts';

/** A pod whose checker can be asked. */
export interface CheckerTarget extends CountedPod {
  ip: string;
  port: number;
}

export interface CollectorOptions {
  /** Pods that a checker guards, as of now. */
  targets(): Iterable<CheckerTarget>;
  ask(ip: string, port: number, stop: AbortSignal): Promise<AskResult>;
  /** Called for each question that has ended. */
  count(result: AskResult['result']): void;
  /** Milliseconds since 1970. */
  now?(): number;
  /** Calls back after milliseconds; returns what takes the call back. */
  later?(run: () => void, milliseconds: number): () => void;
}

/** What became of the pods of a round. */
export interface CollectionRound {
  began: number;
  ended: number;
  /** Pods to be asked. */
  pods: number;
  answered: number;
  /** Those that did not answer, or not with a report. */
  silent: number;
}

export interface Collection {
  began: number;
  history: TrafficHistory;
  /** The last round that has ended; undefined before the first has. */
  last(): CollectionRound | undefined;
  /** The round under way; undefined between two. */
  current(): CollectionRound | undefined;
  stop(): void;
}

/** Milliseconds between two questions. */
const STEP = 200;
/** Milliseconds from the beginning of a round to that of the next, at least. */
const ROUND = 60_000;
/** Milliseconds until the first round, and after one without pods: until then coverage lists them. */
const FIRST = 5000;
/** Pods of one round: it takes an hour then. Further ones are not asked. */
export const MOST_ASKED = 20_000;

export function startCollection(options: CollectorOptions): Collection {
  const { targets, ask, count, now = Date.now, later = laterByTimer } = options;
  const stop = new AbortController();
  const began = now();
  const history = createTrafficHistory(began);
  let last: CollectionRound | undefined;
  let current: { round: CollectionRound; left: CheckerTarget[]; open: number } | undefined;
  let cancel = later(begin, FIRST);

  function begin(): void {
    const left = take(targets(), MOST_ASKED).reverse();
    current = { round: { began: now(), ended: 0, pods: left.length, answered: 0, silent: 0 }, left, open: 0 };
    step();
  }

  function step(): void {
    const target = current?.left.pop();
    if (target !== undefined) void one(target);
    if (current && current.left.length > 0) cancel = later(step, STEP);
    else endRound();
  }

  async function one(target: CheckerTarget): Promise<void> {
    if (current === undefined) return;
    current.open += 1;
    const { round } = current;
    const answer = await ask(target.ip, target.port, stop.signal);
    if (stop.signal.aborted) return;
    count(answer.result);
    round[answer.result === 'answered' ? 'answered' : 'silent'] += 1;
    if (answer.result === 'answered') history.add(target, answer.figures, now());
    current.open -= 1;
    endRound();
  }

  function endRound(): void {
    if (current === undefined || current.open > 0 || current.left.length > 0) return;
    last = { ...current.round, ended: now() };
    current = undefined;
    // Without pods there is nothing to spare: they may just not have been listed yet. A clock that is set back does not stop it.
    const pause = last.pods === 0 ? FIRST : last.began + ROUND - now();
    cancel = later(begin, Math.min(ROUND, Math.max(STEP, pause)));
  }

  return {
    began,
    history,
    last: () => last,
    current: () => current?.round,
    stop() {
      cancel();
      stop.abort();
    },
  };
}

function take<T>(all: Iterable<T>, most: number): T[] {
  const taken: T[] = [];
  for (const one of all) {
    if (taken.length >= most) break;
    taken.push(one);
  }
  return taken;
}

function laterByTimer(run: () => void, milliseconds: number): () => void {
  const timer = setTimeout(run, milliseconds);
  return () => clearTimeout(timer);
}
