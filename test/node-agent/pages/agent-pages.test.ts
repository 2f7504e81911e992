import type { AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import t, { type Test } from 'tap';
import { AGENT_METRICS, renderAgentMetrics } from '../../../node-agent/pages/agent-metrics.ts';
import { makeAgentServer } from '../../../node-agent/pages/agent-pages.ts';
import {
  type AgentReportFacts,
  agentReport,
  agentTable,
  type GuardNumbers,
} from '../../../node-agent/pages/agent-report.ts';
import { StartTimes } from '../../../node-agent/pages/start-times.ts';
import { podProjection } from '../../../node-agent/pods/node-pod.ts';
import type { GuardedPodState, PodOutcome } from '../../../node-agent/pods/pod-guards.ts';
import { madePod, NODE } from '../node-api.ts';

const project = podProjection(NODE, {
  ...({ mode: 'enforce', protocol: 'tcp', onDrift: 'repair' } as const),
  ...({ rescue: 'enabled', beLiberal: 'enabled' } as const),
});
const PEER = { peer: '10.1.4.7', port: 9000, segments: 71, rescued: 3, lastSeen: '2030-01-15T11:24:29.000Z' };
const NUMBERS: GuardNumbers = {
  ...{ dropped: { ipv4: 7, ipv6: 1 }, drift: 2, repairs: 2, repairFailures: 1, rescued: 3, liberal: true },
  ...{ peers: [PEER], since: Date.parse('2030-01-15T11:00:00Z') },
};

type TestGuard = typeof GUARD;
const GUARD = { report: () => NUMBERS };

function outcome(name: string, state: GuardedPodState, reason = ''): PodOutcome<TestGuard> {
  const pod = project(madePod({ name, uid: name }));
  if (pod === undefined) throw new Error('no pod');
  const guarded = state === 'guarded' || state === 'not-guarded';
  const sandbox = { path: `/netns/${name}`, inode: 5, foundBy: 'cni-cache' };
  return {
    pod,
    state,
    reason,
    sandbox: guarded ? sandbox : undefined,
    guard: guarded ? GUARD : undefined,
    liberal: undefined,
  };
}

function factsOf(pods: PodOutcome<TestGuard>[], more: Partial<AgentReportFacts<TestGuard>> = {}) {
  return {
    ...{ node: NODE, nodeMode: 'available' as const, listed: { pods: true, namespaces: true } },
    ...{ watchFailures: { pods: 4, namespaces: 0 }, folders: { cniCache: true, netns: true } },
    conditions: { results: { written: 9, gone: 1, refused: 0, failed: 2 }, waiting: 5 },
    ...{ pods, numbersOf: () => NUMBERS, ...more },
  };
}

async function serve(
  t: Test,
  facts: () => AgentReportFacts<TestGuard>,
  notReady: () => string | undefined = () => undefined,
) {
  const { server, close } = makeAgentServer({
    ...{ facts, notReady, starts: new StartTimes(), furtherMetrics: () => 'further 1\n', now: () => 0 },
  });
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
  t.teardown(close);
  const { port } = server.address() as AddressInfo;
  return (path: string, host = '127.0.0.1') => fetch(`http://${host}:${port}${path}`);
}

/** An address of this machine that is not loopback's. */
const outside = Object.values(networkInterfaces())
  .flatMap((list) => list ?? [])
  .find(({ family, internal }) => family === 'IPv4' && !internal)?.address;

t.test('readyz says yes or why not', async (t) => {
  let reason: string | undefined = 'pods have not been listed yet';
  const get = await serve(
    t,
    () => factsOf([]),
    () => reason,
  );
  const answer = await get('/readyz');
  t.same([answer.status, await answer.text()], [503, 'pods have not been listed yet\n']);
  reason = undefined;
  t.equal((await get('/readyz')).status, 200);
  t.equal((await get('/healthz')).status, 200);
});

t.test('selfcheck is 503 while something is wrong, and says what', async (t) => {
  const get = await serve(t, () => factsOf([outcome('a', 'guarded'), outcome('b', 'not-guarded', 'no rule')]));
  const answer = await get('/selfcheck');
  t.equal(answer.status, 503);
  t.match(await answer.json(), {
    ok: false,
    problems: ['1 pods are not-guarded'],
    states: { guarded: 1, 'not-guarded': 1, starting: 0 },
    pods: [
      { pod: 'a', state: 'guarded', dropped: 8, drift: 2, repairs: 2, rescued: 3, liberal: true, foundBy: 'cni-cache' },
      { pod: 'b', state: 'not-guarded', reason: 'no rule' },
    ],
  });
  const good = await serve(t, () => factsOf([outcome('a', 'guarded'), outcome('c', 'left-alone')]));
  t.equal((await good('/selfcheck')).status, 200);
});

t.test('all that can be wrong is a problem', async (t) => {
  const { problems } = agentReport(
    factsOf([outcome('a', 'no-namespace'), outcome('b', 'cannot-tell')], {
      listed: { pods: false, namespaces: false },
      folders: { cniCache: false, netns: false },
      conditions: { results: { written: 0, gone: 0, refused: 3, failed: 0 }, waiting: 0 },
    }),
    false,
  );
  t.same(problems, [
    'the pods have not been listed yet',
    'the namespaces have not been listed yet',
    "neither the CNI cache nor the node's namespaces can be read",
    '3 conditions were refused',
    '1 pods are cannot-tell',
    '1 pods are no-namespace',
  ]);
});

t.test('one pod in full, for who asks from the pod itself', async (t) => {
  const get = await serve(t, () => factsOf([outcome('a', 'guarded')]));
  const answer = await get('/selfcheck?pod=shop/a');
  t.equal(answer.status, 200);
  t.match(await answer.json(), { pod: 'a', uid: 'a', sandbox: { path: '/netns/a' }, guard: { repairs: 2 } });
  t.equal((await get('/selfcheck?pod=shop/nobody')).status, 404);
});

t.test('in the network there are no names', { skip: outside === undefined && 'no address' }, async (t) => {
  const get = await serve(t, () => factsOf([outcome('secret', 'not-guarded')]));
  const text = await (await get('/selfcheck', outside)).text();
  t.notMatch(text, /secret/);
  t.match(JSON.parse(text), { states: { 'not-guarded': 1 }, names: /kubectl exec/ });
  for (const name of ['secret', 'nobody']) t.equal((await get(`/selfcheck?pod=shop/${name}`, outside)).status, 403);
  t.match(await (await get('/selfcheck')).text(), /secret/, 'what was made for one is not given to the other');
  t.notMatch(await (await get('/selfcheck', outside)).text(), /secret/);
});

t.test(
  'figures are for who knows the uid of a pod, and name nobody',
  { skip: outside === undefined && 'no address' },
  async (t) => {
    const get = await serve(t, () =>
      factsOf([outcome('a', 'guarded'), outcome('b', 'guarded'), outcome('c', 'no-namespace')]),
    );
    const answer = await get('/figures?pods=a,c,nobody,a', outside);
    t.equal(answer.status, 200);
    const text = await answer.text();
    t.strictSame(JSON.parse(text), {
      pods: [
        {
          uid: 'a',
          since: '2030-01-15T11:00:00.000Z',
          prevented: { ipv4: { packets: 7 }, ipv6: { packets: 1 } },
          drift: 2,
          repairs: 2,
          strays: { rescued: 3, peers: [PEER] },
        },
      ],
    });
    t.notMatch(text, /shop|node-1/);
    const uids = (count: number) => Array.from({ length: count }, (_, index) => `u-${index}`).join();
    t.equal((await get(`/figures?pods=${uids(400)}`, outside)).status, 200);
    for (const query of ['', '?pods=', '?pods=a,', '?pods=a%20b', `?pods=${'x'.repeat(37)}`, `?pods=${uids(401)}`]) {
      const refused = await get(`/figures${query}`, outside);
      t.equal(refused.status, 400, query);
      t.notMatch(await refused.text(), /"uid"/);
    }
  },
);

t.test('the numbers of a pod are read once a second at most, and of nobody who was not asked for', async (t) => {
  const [one, other] = [outcome('a', 'guarded'), outcome('b', 'guarded')];
  const read: unknown[] = [];
  const numbersOf = (guard: TestGuard) => {
    read.push(guard);
    return { ...NUMBERS, since: undefined };
  };
  const get = await serve(t, () => factsOf([one, other], { numbersOf }));
  for (const query of ['a', 'a,nobody', 'a'])
    t.match(await (await get(`/figures?pods=${query}`)).json(), { pods: [{ since: null }] });
  t.strictSame(read, [one.guard]);
});

t.test('each metric has samples, and the labels that the documentation says', async (t) => {
  const starts = new StartTimes();
  starts.note(0.2);
  const facts = factsOf([outcome('a', 'guarded'), outcome('b', 'no-namespace')]);
  const text = renderAgentMetrics(facts, starts);
  for (const { name, labels } of AGENT_METRICS) {
    const samples = [...text.matchAll(new RegExp(`^${name}(?:_bucket|_sum|_count)?(?:\\{(.*)\\})? `, 'gm'))];
    t.ok(samples.length > 0, name);
    if (labels.length === 0) continue;
    const names = [...(samples[0]?.[1] ?? '').matchAll(/(\w+)="/g)].map(([, label]) => label);
    t.same(names, labels, name);
  }
  for (const line of [
    'invalid_drop_agent_pods{state="no-namespace"} 1',
    'invalid_drop_agent_pod_guarded{namespace="shop",pod="b"} 0',
    'invalid_drop_agent_dropped_packets_total{namespace="shop",pod="a",family="ipv4"} 7',
    'invalid_drop_agent_repairs_total{namespace="shop",pod="a",result="failed"} 1',
    'invalid_drop_agent_start_seconds_bucket{le="0.1"} 0',
    'invalid_drop_agent_start_seconds_bucket{le="0.25"} 1',
    'invalid_drop_agent_start_seconds_count 1',
    'invalid_drop_agent_condition_writes_total{result="failed"} 2',
    'invalid_drop_agent_watch_failures_total{collection="pods"} 4',
  ]) {
    t.ok(text.includes(`${line}\n`), line);
  }
});

t.test('a metric has at most 500 samples', async (t) => {
  const pods = Array.from({ length: 1000 }, (_, index) => outcome(`p-${index}`, 'guarded'));
  const text = renderAgentMetrics(factsOf(pods), new StartTimes());
  t.equal(text.match(/^invalid_drop_agent_dropped_packets_total\{/gm)?.length, 500);
});

t.test('further metrics follow', async (t) => {
  const get = await serve(t, () => factsOf([]));
  t.match(await (await get('/metrics')).text(), /^# HELP invalid_drop_agent_build_info[\s\S]*\nfurther 1\n$/);
});

t.test('the table has a line for each pod, and nothing that a terminal obeys', async (t) => {
  const report = agentReport(factsOf([outcome('a', 'guarded'), outcome('b', 'not-guarded', 'rule "\u001b[2J"')]), true);
  const lines = agentTable(report).split('\n');
  t.match(lines[0], /^node-1: {2}1 guarded, 1 not-guarded {2}1 pods are not-guarded$/);
  t.match(lines[2], /^NAMESPACE +POD +STATE +DROPPED/);
  t.match(lines[3], /^shop +a +guarded +8 +2 +2 +3 +yes/);
  t.match(lines[4], /not-guarded.*rule "\\u001b\[2J"$/);
  t.equal(agentTable(agentReport(factsOf([]), true)), 'node-1:  no pods  ok\n');
});
