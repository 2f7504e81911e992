// Wires collection to coverage and to the metrics.
import { Counter, Gauge, type Registry } from 'prom-client';
import type { CoverageStore } from '../coverage/coverage-store.ts';
import { type AskResult, askChecker, isPodAddress } from './ask-checker.ts';
import { type CheckerTarget, type Collection, type CollectionRound, startCollection } from './collector.ts';

/** @param registry gets the metrics of collection */
export function collectFrom(store: CoverageStore, registry: Registry): Collection {
  const count = createCollectionMetrics(registry, () => collection.last());
  const collection = startCollection({ targets: () => targetsOf(store), ask: askChecker, count });
  return collection;
}

function* targetsOf(store: CoverageStore): Generator<CheckerTarget> {
  for (const target of store.checkers()) if (isPodAddress(target.ip)) yield target;
}

/** @param last the last round that has ended @returns counts an answer */
export function createCollectionMetrics(registry: Registry, last: () => CollectionRound | undefined) {
  const registers = [registry];
  const questions = new Counter({
    name: 'invalid_drop_collection_questions_total',
    help: "Questions to checkers, for the status page. result: answered, no-answer (within 2 s) or invalid (not a checker's report).",
    labelNames: ['result'] as const,
    registers,
  });
  new Gauge({
    name: 'invalid_drop_collection_round_seconds',
    help: 'Time that the last round of questions to all checkers took; 0 before the first has ended.',
    registers,
    collect() {
      const round = last();
      this.set(round ? (round.ended - round.began) / 1000 : 0);
    },
  });
  // A series that begins with its first failure has no increase to alert on.
  for (const result of ['answered', 'no-answer', 'invalid'] as const) questions.inc({ result }, 0);
  return (result: AskResult['result']) => questions.inc({ result });
}
