// Asks pods for their figures, in rounds: five questions a second in all, each pod once a minute at most. Checkers and node agents
// take turns, so that ten thousand checkers do not hold up the agents, which tell of a hundred pods each.
import type { AskResult } from './pod-request.ts';
import type { TrafficHistory } from './traffic-history.ts';

/** Asks one checker or agent, and takes what it answers. Never rejects. @param stop ends it early, without an answer */
export type Question = (stop: AbortSignal) => Promise<AskResult>;

/** The questions of one kind, as of now: one for each that is to be asked. */
export type Questions = () => Iterable<Question>;

export interface CollectorClock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Calls back after milliseconds; returns what takes the call back. */
  later(run: () => void, milliseconds: number): () => void;
}

/** What became of those of a round. */
export interface CollectionRound {
  began: number;
  ended: number;
  /** Those to be asked. */
  asked: number;
  answered: number;
  /** Those that did not answer, or not with a report. */
  silent: number;
}

export interface Rounds {
  /** The last round that has ended; undefined before the first has. */
  last(): CollectionRound | undefined;
  /** The round under way; undefined between two. */
  current(): CollectionRound | undefined;
}

export interface Collection {
  began: number;
  history: TrafficHistory;
  checkers: Rounds;
  /** undefined where there are no node agents. */
  agents: Rounds | undefined;
  stop(): void;
}

/** Milliseconds between two questions. */
const STEP = 200;
/** Milliseconds from the beginning of a round to that of the next, at least. */
const ROUND = 60_000;
/** Milliseconds until the first round, and after one that asked nobody: until then coverage lists the pods. */
const FIRST = 5000;
/** Those of one round: it takes an hour then. Further ones are not asked. */
export const MOST_ASKED = 20_000;

/** A kind's rounds, as the steps make them. */
interface SteppedRounds extends Rounds {
  /** A step has passed. */
  pass(): void;
  /** @returns whether somebody was asked */
  askNext(): boolean;
}

/**
 * Asks until it is stopped. What ends after that is not counted.
 * @param agents undefined where there are none
 */
export function startRounds(
  checkers: Questions,
  agents: Questions | undefined,
  clock: CollectorClock,
): Pick<Collection, 'checkers' | 'agents' | 'stop'> {
  const stop = new AbortController();
  const ofCheckers = makeRounds(checkers, clock.now, stop.signal);
  const ofAgents = agents && makeRounds(agents, clock.now, stop.signal);
  const rounds = [ofCheckers, ...(ofAgents ? [ofAgents] : [])];
  let turn = 0;
  let cancel = clock.later(step, FIRST);

  function step(): void {
    cancel = clock.later(step, STEP);
    for (const one of rounds) one.pass();
    const order = rounds.map((_, index) => (turn + index) % rounds.length);
    const asked = order.find((index) => rounds[index]?.askNext());
    if (asked !== undefined) turn = asked + 1;
  }

  return {
    checkers: ofCheckers,
    agents: ofAgents,
    stop() {
      cancel();
      stop.abort();
    },
  };
}

function makeRounds(questions: Questions, now: () => number, stop: AbortSignal): SteppedRounds {
  let last: CollectionRound | undefined;
  let current: { round: CollectionRound; left: Question[]; open: number } | undefined;
  /** Milliseconds until the next round may begin: counted in steps, as a clock may be set. */
  let pause = 0;

  function begin() {
    const left = take(questions(), MOST_ASKED).reverse();
    current = { round: { began: now(), ended: 0, asked: left.length, answered: 0, silent: 0 }, left, open: 0 };
    endRound();
  }

  async function one(question: Question): Promise<void> {
    if (current === undefined) return;
    current.open += 1;
    const { round } = current;
    const result = await question(stop);
    if (stop.aborted || current === undefined) return;
    round[result === 'answered' ? 'answered' : 'silent'] += 1;
    current.open -= 1;
    endRound();
  }

  function endRound(): void {
    if (current === undefined || current.open > 0 || current.left.length > 0) return;
    last = { ...current.round, ended: now() };
    current = undefined;
    // Where nobody was asked there is nothing to spare: the pods may just not have been listed yet.
    const left = last.asked === 0 ? FIRST : last.began + ROUND - now();
    pause = Math.min(ROUND, Math.max(STEP, left));
  }

  return {
    last: () => last,
    current: () => current?.round,
    pass() {
      pause -= STEP;
    },
    askNext() {
      if (current === undefined && pause <= 0) begin();
      const question = current?.left.pop();
      if (question === undefined) return false;
      void one(question);
      return true;
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

export const SYSTEM_CLOCK: CollectorClock = {
  now: Date.now,
  later(run, milliseconds) {
    const timer = setTimeout(run, milliseconds);
    return () => clearTimeout(timer);
  },
};
