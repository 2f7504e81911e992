// For bench/status-page-bench.ts, in a network namespace of its own in which all of 10.77.0.0/16 is this machine: an API server
// that lists guarded pods, a checker that answers at each of their addresses, and the shipped webhook, with and without
// collection; then the same with as many pods that node agents guard. Prints what was measured as JSON. Arguments: pods, namespaces, folder, flags of Node.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { get, createServer as httpServer } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { AGENT_PORT, CHECKER_PORT, GUARDED_CONDITION, OPT_IN_LABEL, OWN_NAMESPACE } from '../../lib/contract.ts';
import { readOptions } from '../../lib/options.ts';
import { NO_POD_LEVEL } from '../../lib/pod/pod-view.ts';
import { sidecarContainer } from '../../webhook/admission/containers.ts';
import { makeCertificate } from '../../webhook/certificates/make-certificates.ts';
import { injectionSettings, OPTIONS } from '../../webhook/webhook-options.ts';
import { readCpuSeconds, readMemory } from '../proc-numbers.ts';
import { median } from '../samples.ts';

const [, , podCount = '', namespaceCount = '', folder = '', bundle = '', ...nodeFlags] = process.argv;
const PODS = Number(podCount);
const NAMESPACES = Number(namespaceCount);
const SAMPLES = 7;
/** Seconds over which CPU time is counted: 300 questions. */
const WATCHED = 30;
const PEER = { peer: '10.1.4.7', port: 9000, segments: 71, rescued: 14, lastSeen: new Date().toISOString() };

const settings = injectionSettings(readOptions(OPTIONS, [], {}).values);
const sidecar = sidecarContainer(NO_POD_LEVEL, settings.options, settings, 'http');
const since = new Date(Date.now() - 3_600_000).toISOString();

const AGENTS = 1000;
const AGENTS_PATH = `/api/v1/namespaces/${OWN_NAMESPACE}/pods`;
/** Whether agents guard the pods. */
let byAgents = false;

const addressAt = (index: number) => `10.77.${index >> 8}.${index & 255}`;

function agentAt(index: number) {
  return {
    metadata: { name: `agent-${index}`, namespace: OWN_NAMESPACE, resourceVersion: '1' },
    spec: { nodeName: `node-${index}`, containers: [{ name: 'node-agent', image: 'agent' }] },
    status: { phase: 'Running', podIP: addressAt(index) },
  };
}

function podAt(index: number) {
  if (byAgents) return agentsPodAt(index);
  const running = { running: { startedAt: since } };
  const status = { name: sidecar.name, ready: true, started: true, restartCount: 0, state: running };
  return {
    metadata: {
      name: `object-store-6d4cf56db6-${index}`,
      namespace: `scale-${index % NAMESPACES}`,
      uid: `uid-${index}`,
      creationTimestamp: since,
      resourceVersion: '1',
    },
    spec: { initContainers: [sidecar], containers: [{ name: 'app', image: 'app' }] },
    status: {
      phase: 'Running',
      podIP: addressAt(index),
      conditions: [{ type: 'Initialized', status: 'True' }],
      initContainerStatuses: [status],
    },
  };
}

function agentsPodAt(index: number) {
  return {
    metadata: {
      name: `object-store-6d4cf56db6-${index}`,
      namespace: `scale-${index % NAMESPACES}`,
      uid: uidAt(index),
      creationTimestamp: since,
      resourceVersion: '1',
    },
    spec: { nodeName: `node-${index % AGENTS}`, containers: [{ name: 'app', image: 'app' }] },
    status: {
      phase: 'Running',
      podIP: addressAt(index),
      conditions: [{ type: GUARDED_CONDITION, status: 'True', reason: 'Guarded', message: '' }],
    },
  };
}

const uidAt = (index: number) => `0c5bd9f2-6b0e-4c38-9a53-${String(index).padStart(12, '0')}`;

const namespaceAt = (index: number) => ({
  metadata: { name: `scale-${index}`, labels: { [OPT_IN_LABEL]: byAgents ? 'node' : 'enabled' }, resourceVersion: '1' },
});

function listed(url: URL): unknown[] {
  if (url.pathname === '/api/v1/namespaces')
    return Array.from({ length: NAMESPACES }, (_, index) => namespaceAt(index));
  return [];
}

const { key, cert, ca } = await makeCertificate(new Date());
const api = createServer({ key, cert }, (request, response) => {
  const url = new URL(request.url ?? '/', 'http://api');
  if (url.searchParams.get('watch') === 'true') return response.flushHeaders();
  let [items, further] = [listed(url), ''];
  const paged: Record<string, [number, (index: number) => object]> = {
    '/api/v1/pods': [PODS, podAt],
    [AGENTS_PATH]: [AGENTS, agentAt],
  };
  const [all, objectAt] = paged[url.pathname] ?? [];
  if (all !== undefined && objectAt !== undefined) {
    const from = Number(url.searchParams.get('continue') ?? 0);
    const to = Math.min(all, from + Number(url.searchParams.get('limit') ?? all));
    items = Array.from({ length: to - from }, (_, index) => objectAt(from + index));
    if (to < all) further = String(to);
  }
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ kind: 'List', metadata: { resourceVersion: '1', continue: further }, items }));
});
await once(api.listen(0, '127.0.0.1'), 'listening');
const server = `https://127.0.0.1:${(api.address() as AddressInfo).port}`;
const kubeconfig = `${folder}/kubeconfig`;
writeFileSync(
  kubeconfig,
  JSON.stringify({
    clusters: [{ name: 'c', cluster: { server, 'certificate-authority-data': Buffer.from(ca).toString('base64') } }],
    users: [{ name: 'u', user: { token: 'x' } }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  }),
);

let asked = 0;
const figuresNow = () => ({
  prevented: { ipv4: { packets: asked }, ipv6: { packets: 0 } },
  strays: { rescued: 1, peers: [PEER, PEER, PEER, PEER, PEER] },
  drift: 0,
});
const checker = httpServer((_, response) => {
  asked += 1;
  // As long as a real one.
  response.end(JSON.stringify({ filling: 'x'.repeat(4000), ...figuresNow() }));
});
await once(checker.listen(CHECKER_PORT, '0.0.0.0'), 'listening');
const agent = httpServer(({ url = '' }, response) => {
  asked += 1;
  const uids = new URL(url, 'http://agent').searchParams.get('pods')?.split(',') ?? [];
  response.end(JSON.stringify({ pods: uids.map((uid) => ({ uid, since, repairs: 0, ...figuresNow() })) }));
});
await once(agent.listen(AGENT_PORT, '0.0.0.0'), 'listening');

interface Got {
  /** Milliseconds. */
  firstByte: number;
  body: string;
}

function fetchPage(port: number, path: string): Promise<Got> {
  const began = performance.now();
  return new Promise((resolve, reject) => {
    const call = get({ host: '127.0.0.1', port, path, agent: false }, (response) => {
      let firstByte = 0;
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => {
        firstByte ||= performance.now() - began;
        chunks.push(chunk);
      });
      response.on('end', () => resolve({ firstByte, body: Buffer.concat(chunks).toString() }));
    });
    call.on('error', reject);
  });
}

/** Starts the webhook, and waits until it has listed all pods. */
async function startWebhook(collect: 'enabled' | 'disabled') {
  const log = `${folder}/${collect}${byAgents ? '-agents' : ''}.log`;
  writeFileSync(log, '');
  const flags = ['--port=0', '--metrics-port=0', `--ca-file=${folder}/ca.pem`, `--kubeconfig=${kubeconfig}`];
  const command = [process.execPath, ...nodeFlags, bundle, ...flags, '--events=disabled', `--collect=${collect}`];
  if (byAgents) command.push('--node-mode=available');
  const child = spawn('sh', ['-c', 'exec "$@" > "$0"', log, ...command], { stdio: 'inherit' });
  for (;;) {
    const port = Number(/"metricsPort":(\d+)/.exec(readFileSync(log, 'utf8'))?.[1] ?? 0);
    if (port > 0) {
      const { total, synced } = JSON.parse((await fetchPage(port, '/coverage')).body);
      if (synced && total === PODS) return { child, port, pid: child.pid ?? 0 };
    }
    if (child.exitCode !== null) throw new Error(readFileSync(log, 'utf8'));
    await wait(200);
  }
}

/** Each is made anew: what is kept is kept for two seconds. */
async function samplesOf(port: number, path: string) {
  const firstBytes: number[] = [];
  let largest = 0;
  for (let sample = 0; sample < SAMPLES; sample++) {
    const { firstByte, body } = await fetchPage(port, path);
    firstBytes.push(firstByte);
    largest = Math.max(largest, Buffer.byteLength(body));
    await wait(2100);
  }
  return { firstByte: median(firstBytes), slowest: Math.max(...firstBytes), bytes: largest };
}

/** CPU in percent of a core, bytes of RSS, and questions a second, over WATCHED seconds. */
async function watch(pid: number) {
  // The first round begins after 5 s.
  await wait(10_000);
  const [cpuBefore, askedBefore] = [await readCpuSeconds(pid), asked];
  await wait(WATCHED * 1000);
  const cpu = (100 * ((await readCpuSeconds(pid)) - cpuBefore)) / WATCHED;
  return { cpu, rss: (await readMemory(pid)).rss, asked: (asked - askedBefore) / WATCHED };
}

const measured: Record<string, { cpu: number; rss: number; asked: number }> = {};
const pages: Record<string, { firstByte: number; slowest: number; bytes: number }> = {};
for (const [name, collect] of [
  ['disabled', 'disabled'],
  ['enabled', 'enabled'],
  ['agentsDisabled', 'disabled'],
  ['agents', 'enabled'],
] as const) {
  byAgents = name.startsWith('agents');
  const { child, port, pid } = await startWebhook(collect);
  measured[name] = await watch(pid);
  if (name === 'enabled')
    for (const path of ['/', '/?namespace=scale-7', '/?reason=guarded']) pages[path] = await samplesOf(port, path);
  child.kill('SIGKILL');
  await once(child, 'exit');
}
process.stdout.write(`${JSON.stringify({ measured, pages })}\n`);
process.exit(0);
