// The agent's pages. Anybody in the network can ask (docs/decisions/0019): what is said of single pods is for who asks from
// the agent's own pod, but for the numbers that Prometheus collects, and figures for who knows a pod's uid.

import { METRICS_TYPE } from '../../lib/metric-text.ts';
import { jsonPage, madeAtMostEvery, makePageServer, type Page, type PageServer } from '../../lib/page-server.ts';
import { renderAgentMetrics } from './agent-metrics.ts';
import { type AgentReportFacts, agentReport, podReport, type ReportingGuard } from './agent-report.ts';
import { figuresPage } from './pod-figures.ts';
import type { StartTimes } from './start-times.ts';

/** Milliseconds. A probe waits for 2 s, a scraper for 10 s at most. */
const DEADLINE = 5000;
const CONNECTIONS = 128;
/** Milliseconds for which the pages that need work stay as they are. */
const RENDERED_FOR = 1000;

export interface AgentPagesOptions<Guard extends ReportingGuard> {
  facts(): AgentReportFacts<Guard>;
  /** Why the agent is not ready, or undefined where it is. */
  notReady(): string | undefined;
  starts: StartTimes;
  /** Further metrics, as text. */
  furtherMetrics(): string;
  /** Milliseconds of a clock that never goes back. */
  now?(): number;
}

/** @returns a server that does not listen yet */
export function makeAgentServer<Guard extends ReportingGuard>(options: AgentPagesOptions<Guard>): PageServer {
  const { facts, notReady, starts, furtherMetrics, now } = options;
  const selfcheck = (named: boolean) => {
    const make = () => {
      const data = agentReport(facts(), named);
      return jsonPage(data.ok ? 200 : 503, data);
    };
    return madeAtMostEvery(RENDERED_FOR, make, now);
  };
  const [withNames, withoutNames] = [selfcheck(true), selfcheck(false)];
  const onePod = (name: string): Page => {
    const found = podReport(facts(), name);
    if (found === undefined) return { status: 404, body: 'the agent has nothing to do with such a pod\n' };
    return jsonPage(200, found);
  };
  const figures = madeAtMostEvery(RENDERED_FOR, () => figuresPage(facts()), now);
  const metrics = (): Page => ({
    status: 200,
    type: METRICS_TYPE,
    body: renderAgentMetrics(facts(), starts) + furtherMetrics(),
  });
  return makePageServer(
    {
      '/healthz': () => ({ status: 200, body: 'ok\n' }),
      '/readyz': () => {
        const reason = notReady();
        return { status: reason === undefined ? 200 : 503, body: `${reason ?? 'ok'}\n` };
      },
      '/selfcheck': ({ query, local }) => {
        const name = query.get('pod');
        if (name === null) return local ? withNames() : withoutNames();
        return local ? onePod(name) : { status: 403, body: 'only from the pod itself\n' };
      },
      '/figures': (request) => figures()(request),
      '/metrics': madeAtMostEvery(RENDERED_FOR, metrics, now),
    },
    { deadline: DEADLINE, connections: CONNECTIONS },
  );
}
