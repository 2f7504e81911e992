// The webhook under load against a bare fastify that parses the same body and answers a constant, which is an answer of
// the webhook's. CPU time says the most: it does not depend on what else runs, nor on how fast the load comes.
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { text } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Program } from '../test/harness/netns/processes.ts';
import type { Tell } from '../test/harness/progress-line.ts';
import { WEBHOOK } from './bench-pod.ts';
import { type Figure, type Goal, makeFigure } from './figure.ts';
import { type HttpsLoad, load } from './https-load.ts';
import { readCpuSeconds } from './proc-numbers.ts';
import { median } from './samples.ts';

const script = (name: string) => fileURLToPath(new URL(`inside/${name}.ts`, import.meta.url));
const POD = new URL('../test/webhook/admission/cases/deployment-pod.json', import.meta.url);
/** As webhook/Containerfile has them. */
const MALLOC = { MALLOC_ARENA_MAX: '1', MALLOC_TRIM_THRESHOLD_: '131072', MALLOC_MMAP_THRESHOLD_: '8192' };
/** As its entry point has them. */
export const NODE_FLAGS = ['--max-semi-space-size=2', '--heap-growing-percent=20', '--expose-gc'];
const CONNECTIONS = 16;
/** wrk takes whole ones. */
const SECONDS = 1;
/** Of each server: what V8 made of one, and where its memory lies, moves all that it is measured at by a tenth. */
const INSTANCES = 3;
const ROUNDS = 7;
/** Until V8 has compiled what is hot. */
const WARM_UP = 3;
const START_LIMIT = 10_000;
const UID = '705ab4f5-6393-11e8-b7cc-42010a800002';

interface Server {
  program: Program;
  port: number;
}

interface Sample extends HttpsLoad {
  /** Microseconds of the server's CPU for a request. */
  cpu: number;
}

type Samples = Record<'webhook' | 'alike' | 'short', Sample[]>;

/** @param folder for the webhook's CA and the servers' output; the caller removes it */
export async function benchWebhook(tell: Tell, folder: string): Promise<Figure[]> {
  const flags = ['--port', '0', '--metrics-port', '0', '--ca-file', `${folder}/ca.pem`, '--drain-seconds', '0'];
  const body = JSON.stringify(await review());
  const answer = `${folder}/answer.json`;
  const samples: Samples = { webhook: [], alike: [], short: [] };
  for (let instance = 1; instance <= INSTANCES; instance++) {
    const webhook = await startServer([...NODE_FLAGS, WEBHOOK, ...flags], `${folder}/webhook-${instance}.log`, MALLOC);
    // A patch is two hundred times as long as the shortest answer: what it costs to send and to receive is no decision.
    await writeFile(answer, await answerOf(webhook, body));
    const servers = {
      webhook,
      alike: await startServer([script('bare-fastify'), answer], `${folder}/alike-${instance}.log`),
      short: await startServer([script('bare-fastify')], `${folder}/short-${instance}.log`),
    };
    await sampleAll(servers, body, samples, (text) => tell(`webhook: start ${instance} of ${INSTANCES}, ${text}`));
    await Promise.all(Object.values(servers).map(({ program }) => program.stop()));
  }
  const middle = (who: keyof Samples, key: keyof Sample) => median(samples[who].map((one) => one[key]));
  const figure = (name: string, unit: string, key: keyof Sample, goal?: Goal) =>
    makeFigure({
      name: `webhook, ${name}`,
      unit,
      value: middle('webhook', key),
      reference: middle('alike', key),
      ...(goal && { goal }),
    });
  const short = { name: 'webhook, POST /mutate, against an answer of 16 bytes', unit: 'per second' };
  return [
    figure('POST /mutate', 'per second', 'perSecond', 'ratio >= 0.6'),
    figure('POST /mutate, p50', 'ms', 'p50'),
    figure('POST /mutate, p99', 'ms', 'p99', 'ratio <= 2'),
    figure('CPU of a POST /mutate', 'us', 'cpu'),
    makeFigure({ ...short, value: middle('webhook', 'perSecond'), reference: middle('short', 'perSecond') }),
  ];
}

/** Each server in turn, round by round. */
async function sampleAll(servers: Record<keyof Samples, Server>, body: string, samples: Samples, tell: Tell) {
  for (let round = 1 - WARM_UP; round <= ROUNDS; round++) {
    tell(round < 1 ? 'warming up' : `round ${round} of ${ROUNDS}`);
    for (const name of ['webhook', 'alike', 'short'] as const) {
      const sample = await take(servers[name], body);
      if (round > 0) samples[name].push(sample);
    }
  }
}

async function answerOf({ port }: Server, body: string): Promise<string> {
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  // It made its certificate itself; who it is is not what is measured.
  const sent = request({ port, path: '/mutate', method: 'POST', headers, rejectUnauthorized: false }).end(body);
  const [answer] = (await once(sent, 'response', { signal: AbortSignal.timeout(START_LIMIT) })) as [IncomingMessage];
  return text(answer);
}

/** Its log goes to a file, as a container's would: read by nobody while it is measured. */
async function startServer(args: string[], log: string, env: Record<string, string> = {}): Promise<Server> {
  const settings = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const program = new Program('sh', ['-c', 'exec env "$@" > "$0"', log, ...settings, process.execPath, ...args]);
  const deadline = Date.now() + START_LIMIT;
  while (Date.now() < deadline && program.child.exitCode === null) {
    const port = (await readFile(log, 'utf8').catch(() => '')).match(/"port":(\d+)/)?.[1];
    if (port) return { program, port: Number(port) };
    await wait(50);
  }
  throw new Error(`${args.join(' ')} did not start: ${program.errors}`);
}

async function take({ port, program }: Server, body: string): Promise<Sample> {
  const target = { hosts: ['127.0.0.1'], port, path: '/mutate' };
  const cpuBefore = await readCpuSeconds(pidOf(program));
  const measured = await load(target, body, { connections: CONNECTIONS, seconds: SECONDS });
  const cpu = (await readCpuSeconds(pidOf(program))) - cpuBefore;
  return { ...measured, cpu: (cpu / (measured.perSecond * SECONDS)) * 1e6 };
}

/** The shell became the server. */
const pidOf = ({ child }: Program) => child.pid ?? Number.NaN;

/** An AdmissionReview as the API server sends it for a Deployment's pod. */
export async function review() {
  const { pod } = JSON.parse(await readFile(POD, 'utf8')) as { pod: { metadata: object } };
  const kind = { group: '', version: 'v1', kind: 'Pod' };
  const resource = { group: '', version: 'v1', resource: 'pods' };
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: UID,
      kind,
      resource,
      requestKind: kind,
      requestResource: resource,
      namespace: 'object-store',
      operation: 'CREATE',
      userInfo: {
        username: 'system:serviceaccount:kube-system:replicaset-controller',
        groups: ['system:serviceaccounts', 'system:serviceaccounts:kube-system', 'system:authenticated'],
      },
      object: { ...pod, metadata: { ...pod.metadata, namespace: 'object-store' } },
      oldObject: null,
      dryRun: false,
      options: { apiVersion: 'meta.k8s.io/v1', kind: 'CreateOptions' },
    },
  };
}
