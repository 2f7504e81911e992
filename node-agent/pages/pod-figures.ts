// GET /figures: what the agent has counted in pods, for the webhook's status page. Anybody in the network can ask
// (docs/decisions/0029): an answer names no pod, and tells of a pod only to who knows its uid. Pure.
import type { StrayPeer } from '../../lib/checker/rescuer.ts';
import { jsonPage, type Page, type PageRequest } from '../../lib/page-server.ts';
import type { AgentReportFacts, GuardNumbers, ReportingGuard } from './agent-report.ts';

/** The figures of one pod, under the names that a checker's /selfcheck has for them. */
export interface PodFigures {
  uid: string;
  /** When this agent put the rules in; null where one was there before, so that older packets count too. */
  since: string | null;
  prevented: Record<'ipv4' | 'ipv6', { packets: number }>;
  drift: number;
  repairs: number;
  /** Peers are known only where connections are rescued one by one. */
  strays: { rescued: number; peers: StrayPeer[] };
}

/** Uids that one request may ask for: they have to fit into the 16 KiB that are read of it. */
const MOST_ASKED = 400;
const UID = /^[0-9a-zA-Z-]{1,36}$/;

/**
 * Answers questions from the same facts. Of each pod the numbers are read once, however often they are asked for.
 * @returns from a request to the page: 400 where it names no uids
 */
export function figuresPage<Guard extends ReportingGuard>(
  facts: Pick<AgentReportFacts<Guard>, 'pods' | 'numbersOf'>,
): (request: Pick<PageRequest, 'query'>) => Page {
  const guards = new Map(facts.pods.map(({ pod, guard }) => [pod.uid, guard]));
  const read = new Map<string, PodFigures>();
  const figuresOf = (uid: string) => {
    const guard = guards.get(uid);
    if (guard === undefined) return undefined;
    const figures = read.get(uid) ?? podFigures(uid, facts.numbersOf(guard));
    read.set(uid, figures);
    return figures;
  };
  return ({ query }) => {
    const uids = new Set((query.get('pods') ?? '').split(','));
    if (uids.size > MOST_ASKED || [...uids].some((uid) => !UID.test(uid)))
      return { status: 400, body: `which pods: /figures?pods=UID,UID (at most ${MOST_ASKED})\n` };
    const pods = [...uids].flatMap((uid) => figuresOf(uid) ?? []);
    return jsonPage(200, { pods });
  };
}

function podFigures(uid: string, numbers: GuardNumbers): PodFigures {
  const { dropped, drift, repairs, rescued, peers, since } = numbers;
  return {
    uid,
    since: since === undefined ? null : new Date(since).toISOString(),
    prevented: { ipv4: { packets: dropped.ipv4 ?? 0 }, ipv6: { packets: dropped.ipv6 ?? 0 } },
    drift,
    repairs,
    strays: { rescued, peers },
  };
}
