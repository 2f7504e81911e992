// Wires collection to coverage, to the node agents and to the metrics: who is asked for what.
import { Counter, Gauge, type Registry } from 'prom-client';
import { AGENT_PORT } from '../../lib/contract.ts';
import type { CoverageStore } from '../coverage/coverage-store.ts';
import type { AgentAddresses } from './agent-addresses.ts';
import { AGENT_ANSWER_LIMIT, agentFigures, figuresPath, PODS_A_QUESTION } from './agent-figures.ts';
import { type CheckerFigures, checkerFigures } from './checker-figures.ts';
import { type Collection, type CollectorClock, type Question, SYSTEM_CLOCK, startRounds } from './collector.ts';
import { type AskResult, askPod, isPodAddress } from './pod-request.ts';
import { type CountedPod, createTrafficHistory } from './traffic-history.ts';

export interface CollectionOptions {
  store: Pick<CoverageStore, 'checkers' | 'agentPods'>;
  /** undefined: there are no node agents. */
  agents: Pick<AgentAddresses, 'synced' | 'on'> | undefined;
  /** Gets the metrics of collection. */
  registry: Registry;
  clock?: CollectorClock;
  ask?: typeof askPod;
}

/** What questions need. */
interface Asking {
  ask: typeof askPod;
  take(pod: CountedPod, figures: CheckerFigures): void;
  count(asked: CollectedKind, result: AskResult): void;
}

/** Bytes. A report has 3 to 6 KB. */
const REPORT_LIMIT = 64 * 1024;

export function startCollection(options: CollectionOptions): Collection {
  const { store, agents, registry, clock = SYSTEM_CLOCK, ask = askPod } = options;
  const began = clock.now();
  const history = createTrafficHistory(began);
  const count = createCollectionMetrics(registry, () => collection);
  const asking: Asking = { ask, count, take: (pod, figures) => history.add(pod, figures, clock.now()) };
  const ofAgents = agents && (() => (agents.synced() ? agentQuestions(store, agents, asking) : []));
  const rounds = startRounds(() => checkerQuestions(store, asking), ofAgents, clock);
  const collection = { began, history, ...rounds };
  return collection;
}

function* checkerQuestions(store: Pick<CoverageStore, 'checkers'>, { ask, take, count }: Asking): Generator<Question> {
  for (const target of store.checkers()) {
    const { ip: host, port } = target;
    if (!isPodAddress(host)) continue;
    yield async (stop) => {
      const answer = await ask({ host, port, path: '/selfcheck', limit: REPORT_LIMIT }, stop);
      const figures = answer.result === 'answered' ? checkerFigures(answer.text) : undefined;
      if (figures && !stop.aborted) take(target, figures);
      const result = answer.result === 'answered' && figures === undefined ? 'invalid' : answer.result;
      count('checker', result);
      return result;
    };
  }
}

type AgentPods = Map<string, CountedPod>;

/** One for each node with pods that agents guard: it is asked for these alone, so that no agent speaks for others' pods. */
function* agentQuestions(
  store: Pick<CoverageStore, 'agentPods'>,
  agents: Pick<AgentAddresses, 'on'>,
  asking: Asking,
): Generator<Question> {
  const byNode = new Map<string, AgentPods>();
  for (const pod of store.agentPods()) {
    const pods = byNode.get(pod.node) ?? new Map();
    byNode.set(pod.node, pods.set(pod.uid, pod));
  }
  for (const [node, pods] of byNode) {
    yield async (stop) => {
      const result = await askAgent(agents.on(node) ?? '', pods, asking, stop);
      asking.count('agent', result);
      return result;
    };
  }
}

/** @returns no-answer, too, where no agent is known */
async function askAgent(host: string, pods: AgentPods, { ask, take }: Asking, stop: AbortSignal): Promise<AskResult> {
  if (!isPodAddress(host)) return 'no-answer';
  const left = [...pods];
  while (left.length > 0) {
    const asked: AgentPods = new Map(left.splice(0, PODS_A_QUESTION));
    const page = { host, port: AGENT_PORT, path: figuresPath(asked.keys()), limit: AGENT_ANSWER_LIMIT };
    const answer = await ask(page, stop);
    if (answer.result !== 'answered') return answer.result;
    const figures = agentFigures(answer.text, asked);
    if (figures === undefined) return 'invalid';
    if (!stop.aborted) for (const [pod, one] of figures) take(pod, one);
  }
  return 'answered';
}

type CollectedKind = 'checker' | 'agent';

/**
 * @param registry gets the metrics of collection
 * @param collection as it is when the metrics are asked for
 * @returns counts an answer
 */
export function createCollectionMetrics(
  registry: Registry,
  collection: () => Pick<Collection, 'checkers' | 'agents'> | undefined,
) {
  const registers = [registry];
  const questions = new Counter({
    name: 'invalid_drop_collection_questions_total',
    help: 'Questions for the status page. asked: checker or agent. result: answered, no-answer (within 2 s) or invalid (no report of theirs).',
    labelNames: ['asked', 'result'] as const,
    registers,
  });
  new Gauge({
    name: 'invalid_drop_collection_round_seconds',
    help: 'Time that the last round of questions to all of them took. asked: checker or agent. 0 before the first has ended.',
    labelNames: ['asked'] as const,
    registers,
    collect() {
      const now = collection();
      for (const [asked, rounds] of Object.entries({ checker: now?.checkers, agent: now?.agents })) {
        const round = rounds?.last();
        this.set({ asked }, round ? (round.ended - round.began) / 1000 : 0);
      }
    },
  });
  // A series that begins with its first failure has no increase to alert on.
  for (const asked of ['checker', 'agent'] as const)
    for (const result of ['answered', 'no-answer', 'invalid'] as const) questions.inc({ asked, result }, 0);
  return (asked: CollectedKind, result: AskResult) => questions.inc({ asked, result });
}
