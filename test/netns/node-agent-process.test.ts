// The shipped agent guards a pod from outside: real network namespaces, a CNI cache as libcni writes it, and an API server
// of the test's own.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { loadYaml } from '@kubernetes/client-node';
import type { Test } from 'tap';
import { agentFigures } from '../../webhook/collection/agent-figures.ts';
import { bytesOf, readPeakMemory } from '../harness/memory-limit.ts';
import { kernelTest } from '../harness/netns/netns-test.ts';
import { ADDRESS, type Pair } from '../harness/netns/network-namespaces.ts';
import { must, Program, patient, run } from '../harness/netns/processes.ts';
import { makeNodeFolders, type NodeFolders, type ShippedAgent, startAgent } from '../harness/netns/shipped-agent.ts';
import { until } from '../harness/wait-until.ts';
import { madePod, type NodeApi, startNodeApi } from '../node-agent/node-api.ts';
import { cacheFile } from '../node-agent/sandbox/made-cache-file.ts';

const AGENT = fileURLToPath(new URL('../../dist/agent.js', import.meta.url));
const CLIENTS = fileURLToPath(new URL('../harness/traffic/hostile-clients.ts', import.meta.url));
const { spec } = loadYaml<{
  spec: { template: { spec: { containers: { resources: { limits: { memory: string } } }[] } } };
}>(readFileSync(new URL('../../manifests/node-agent/daemon-set.yaml', import.meta.url), 'utf8'));
const LIMIT = bytesOf(spec.template.spec.containers[0]?.resources.limits.memory ?? '');
const ADDRESSES = [ADDRESS.pod.ipv4, ADDRESS.pod.ipv6];
const UID = '0c5bd9f2-6b0e-4c38-9a53-0d5a3a8f6a01';
const RULE = ['-t', 'mangle', '-C', 'PREROUTING', '-p', 'tcp', '-m', 'conntrack', '--ctstate', 'INVALID', '-j', 'DROP'];

interface Node {
  api: NodeApi;
  folders: NodeFolders;
  pod: Pair['pod'];
  start(...options: string[]): Promise<ShippedAgent>;
  /** Creates the pod, as the kubelet sees it first: without an address. */
  create(annotations?: Record<string, string>): void;
  /** What the runtime does then: a sandbox, and its entry. */
  addSandbox(): Promise<void>;
  hasRule(): Promise<boolean>;
  condition(): string;
}

async function makeNode(t: Test, { pod }: Pair): Promise<Node> {
  const api = await startNodeApi();
  const folders = await makeNodeFolders(api.server.ca);
  t.teardown(async () => {
    await api.server.close();
    await folders.remove();
  });
  api.label('shop', 'node');
  const made = { name: 'web-0', uid: UID, gate: true };
  return {
    api,
    folders,
    pod,
    start: (...options) => startAgent(api.server.url, folders, ...options),
    create: (annotations = {}) => api.put(madePod({ ...made, annotations, status: { phase: 'Pending' } })),
    addSandbox: () =>
      folders.cache(
        'cluster-5f0c1d-eth0',
        cacheFile({ namespace: 'shop', name: 'web-0', uid: UID, netns: pod.name, addresses: ADDRESSES }),
      ),
    hasRule: async () => (await pod.run('iptables-nft', RULE)).exitCode === 0,
    condition: () => {
      const { status, reason } = api.conditionOf('shop', 'web-0') ?? {};
      return `${status} ${reason}`;
    },
  };
}

const page = async ({ port }: ShippedAgent, path: string) => {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`);
  return { status: answer.status, text: await answer.text() };
};
const isLiberal = async (pod: Pair['pod']) =>
  (await pod.must('cat', ['/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal'])).trim() === '1';
const tables = (pod: Pair['pod']) => pod.must('nft', ['list', 'tables']);

kernelTest('a new pod is guarded once it has its sandbox, and keeps that over a restart', async (t, pair) => {
  const node = await makeNode(t, pair);
  const { api, pod } = node;
  const agent = await node.start();
  node.create();
  await until('the agent looks for the sandbox', async () =>
    /"no-namespace":1/.test((await page(agent, '/selfcheck')).text),
  );
  t.equal(await node.hasRule(), false);
  await node.addSandbox();
  await until('the pod is guarded', () => node.condition() === 'True Guarded');
  t.equal(await node.hasRule(), true);
  t.match(await tables(pod), /table inet invalid-drop/);
  t.equal(await isLiberal(pod), true);
  api.put(madePod({ name: 'web-0', uid: UID, gate: true, addresses: ADDRESSES, status: { ...statusOf(api) } }));
  t.match(JSON.parse((await page(agent, '/selfcheck?pod=shop/web-0')).text), {
    ...{ state: 'guarded', foundBy: 'cni-cache', liberal: true, repairs: 0 },
  });
  const figures = await page(agent, `/figures?pods=${UID},nobody`);
  const pod0 = { name: 'web-0' };
  const { since = 0, ...rest } = agentFigures(figures.text, new Map([[UID, pod0]]))?.get(pod0) ?? {};
  t.strictSame(rest, { counters: { drops: 0, rescues: 0, drift: 0 }, peers: [] }, 'what the webhook takes from it');
  t.ok(since > Date.now() - 600_000 && since <= Date.now(), "the rules are this agent's");
  t.notMatch(figures.text, /shop|web-0/);
  t.equal((await page(agent, '/figures')).status, 400);
  t.match((await page(agent, '/metrics')).text, /^invalid_drop_agent_pod_guarded\{namespace="shop",pod="web-0"\} 1$/m);

  const command = [AGENT, 'selfcheck', `--port=${agent.port}`];
  // The page is made once a second at most: it may be from before the pod was guarded.
  await until('the page tells of it', async () => (await run(process.execPath, command)).exitCode === 0);
  t.match(
    await must(process.execPath, command),
    /^node-1: {2}1 guarded {2}ok\n\nNAMESPACE +POD[\s\S]*\nshop +web-0 +guarded /,
  );
  t.match(JSON.parse(await must(process.execPath, [...command, '--pod=shop/web-0'])), { uid: UID, guard: {} });
  t.equal((await run(process.execPath, [...command, '--pod=shop/nobody'])).exitCode, 1);

  const { exitCode } = await agent.program.stop();
  t.equal(exitCode, 0);
  await until('its children end with it', async () => (await pod.processes()).length === 0);
  t.equal(await node.hasRule(), true, 'the rule stays');
  const { length } = api.patches;
  const next = await node.start();
  await until('it is ready', async () => (await page(next, '/readyz')).status === 200);
  t.match(JSON.parse((await page(next, '/selfcheck')).text), { ok: true, states: { guarded: 1 } });
  const again = JSON.parse((await page(next, `/figures?pods=${UID}`)).text);
  t.match(again, { pods: [{ uid: UID, since: null }] }, 'the rules were there before it');
  t.equal(api.patches.length, length, 'there is nothing to write: the pod stayed Ready');
});

kernelTest('with the label the rule goes, but no connection loses what it relies on', async (t, pair) => {
  const node = await makeNode(t, pair);
  const { api, pod } = node;
  await node.start();
  node.create();
  await node.addSandbox();
  await until('the pod is guarded', () => node.condition() === 'True Guarded');
  api.label('shop', undefined);
  await until('it is withdrawn from', () => node.condition() === 'True NotOptedIn');
  t.equal(await node.hasRule(), false);
  t.notMatch(await tables(pod), /invalid-drop/);
  t.equal(await isLiberal(pod), true);
  await until('no process of ours is left in it', async () => (await pod.processes()).length === 0);
  api.label('shop', 'node');
  await until('it is guarded again', () => node.condition() === 'True Guarded');
  t.equal(await node.hasRule(), true);
});

kernelTest('a label that went while the agent was away is seen at its start', async (t, pair) => {
  const node = await makeNode(t, pair);
  const { api } = node;
  const agent = await node.start();
  node.create();
  await node.addSandbox();
  await until('the pod is guarded', () => node.condition() === 'True Guarded');
  await agent.program.stop('SIGKILL');
  api.label('shop', undefined);
  await node.start();
  await until('it is withdrawn from', () => node.condition() === 'True NotOptedIn');
  t.equal(await node.hasRule(), false);
});

kernelTest('while the API server is away pods stay guarded, and what happened is told afterwards', async (t, pair) => {
  const node = await makeNode(t, pair);
  const { api, pod } = node;
  const agent = await node.start();
  node.create({ 'invalid-drop.io/on-drift': 'report' });
  await node.addSandbox();
  await until('the pod is guarded', () => node.condition() === 'True Guarded');
  api.failWith(503);
  await pod.must('iptables-nft', ['-t', 'mangle', '-F', 'PREROUTING']);
  await until('the agent sees it', async () => /"not-guarded":1/.test((await page(agent, '/selfcheck')).text));
  await until('it has tried to tell', () => agent.events().some(({ event }) => /could not be written/.test(event)));
  t.equal(node.condition(), 'True Guarded');
  api.failWith(0);
  await until('it is told', () => node.condition() === 'False NotGuarded');
  t.match(api.conditionOf('shop', 'web-0'), { message: /./ });
});

kernelTest('a rule that was removed is put back, and told', async (t, pair) => {
  const node = await makeNode(t, pair);
  const agent = await node.start();
  node.create();
  await node.addSandbox();
  await until('the pod is guarded', () => node.condition() === 'True Guarded');
  await pair.pod.must('iptables-nft', ['-t', 'mangle', '-F', 'PREROUTING']);
  await until('the rule is back', node.hasRule);
  await until('it is counted', async () =>
    /_repairs_total\{.*"guarded"\} 1$/m.test((await page(agent, '/metrics')).text),
  );
  await until('the pod is guarded', () => node.condition() === 'True Guarded');
  t.ok(agent.events().some(({ event, pod }) => event === 'drift' && pod === 'web-0'));
});

kernelTest('a sandbox made anew is guarded, and the old one is let go', async (t, pair) => {
  const node = await makeNode(t, pair);
  const { folders } = node;
  await node.start();
  node.create();
  // The gateway stands in for the sandbox before.
  const entry = { namespace: 'shop', name: 'web-0', uid: UID };
  const before = { ...entry, netns: pair.gateway.name, addresses: [ADDRESS.gateway.ipv4], containerId: 'aaaa' };
  await folders.cache('cluster-aaaa-eth0', cacheFile(before));
  await until('the pod is guarded', () => node.condition() === 'True Guarded');
  await until('one child stays in it', async () => (await pair.gateway.processes()).length === 1);
  await folders.uncache('cluster-aaaa-eth0');
  await node.addSandbox();
  await until('the new one is guarded', node.hasRule);
  await until('the old one is let go', async () => (await pair.gateway.processes()).length === 0);
  t.equal(node.condition(), 'True Guarded');
});

kernelTest('a pod that is opted out is left alone', async (t, pair) => {
  const node = await makeNode(t, pair);
  const agent = await node.start();
  node.create({ 'invalid-drop.io/inject': 'disabled' });
  await node.addSandbox();
  await until('it is known', async () => /"left-alone":1/.test((await page(agent, '/selfcheck')).text));
  t.equal(await node.hasRule(), false);
  t.same(await pair.pod.processes(), []);
});

kernelTest('a probe gets through whatever comes to the port', async (t, pair) => {
  const node = await makeNode(t, pair);
  const agent = await node.start();
  for (const kind of ['silent', 'half', 'unread', 'pipelined']) {
    const clients = new Program(process.execPath, [CLIENTS, '127.0.0.1', String(agent.port), kind, '150']);
    await clients.waitForOutput(/holding/);
    for (let probe = 0; probe < 5; probe++) {
      const answer = await fetch(`http://127.0.0.1:${agent.port}/readyz`, {
        signal: AbortSignal.timeout(patient(2000)),
      });
      t.equal(answer.status, 200, kind);
    }
    t.notOk(clients.closed, 'the clients go on');
    await clients.stop('SIGKILL');
  }
  const peak = await readPeakMemory(agent.program.child.pid ?? 0);
  t.ok(peak < LIMIT, `${Math.round(peak / 1024 ** 2)} MiB of ${LIMIT / 1024 ** 2}`);
});

/** The pod's status as it is, but for its phase. */
function statusOf(api: NodeApi) {
  const condition = api.conditionOf('shop', 'web-0');
  return { phase: 'Running', ...(condition && { conditions: [condition] }) };
}
