// The webhook under load against a bare fastify, for information: nobody creates thousands of pods a second.
import { readFile } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { must, Program } from '../test/kernel/processes.ts';
import { type Figure, makeFigure } from './figure.ts';
import type { Load } from './inside/load.ts';
import { WEBHOOK } from './pod.ts';
import type { Tell } from './progress.ts';
import { median } from './statistics.ts';

const script = (name: string) => fileURLToPath(new URL(`inside/${name}.ts`, import.meta.url));
const POD = new URL('../test/webhook/cases/deployment-pod.json', import.meta.url);
const CONNECTIONS = '16';
const SECONDS = '1.2';
const ROUNDS = 4;
const START_LIMIT = 10_000;
const UID = '705ab4f5-6393-11e8-b7cc-42010a800002';

/** @param folder for the webhook's CA and the servers' output; the caller removes it */
export async function benchWebhook(tell: Tell, folder: string): Promise<Figure[]> {
  const flags = ['--port', '0', '--metrics-port', '0', '--ca-file', `${folder}/ca.pem`, '--drain-seconds', '0'];
  const webhook = await startServer([WEBHOOK, ...flags], `${folder}/webhook.log`);
  const bare = await startServer([script('bare-fastify')], `${folder}/bare.log`);
  const body = JSON.stringify(await review());
  const loads = { webhook: [] as Load[], bare: [] as Load[] };
  for (let round = 0; round <= ROUNDS; round++) {
    tell(`webhook: round ${round} of ${ROUNDS}`);
    const ours = await load(webhook.port, body);
    const theirs = await load(bare.port, body);
    // The first round warms up.
    if (round === 0) continue;
    loads.webhook.push(ours);
    loads.bare.push(theirs);
  }
  await Promise.all([webhook.program.stop(), bare.program.stop()]);
  const figure = (name: string, unit: string, key: keyof Load) =>
    makeFigure({
      name: `webhook, ${name}`,
      unit,
      value: median(loads.webhook.map((one) => one[key])),
      reference: median(loads.bare.map((one) => one[key])),
    });
  return [figure('POST /mutate', 'per second', 'perSecond'), figure('POST /mutate, p99', 'ms', 'p99')];
}

/** Its log goes to a file, as a container's would: read by nobody while it is measured. */
async function startServer(args: string[], log: string): Promise<{ program: Program; port: number }> {
  const program = new Program('sh', ['-c', 'exec "$@" > "$0"', log, process.execPath, ...args]);
  const deadline = Date.now() + START_LIMIT;
  while (Date.now() < deadline && program.child.exitCode === null) {
    const port = (await readFile(log, 'utf8').catch(() => '')).match(/"port":(\d+)/)?.[1];
    if (port) return { program, port: Number(port) };
    await wait(50);
  }
  throw new Error(`${args[0]} did not start: ${program.errors}`);
}

async function load(port: number, body: string): Promise<Load> {
  const printed = await must(process.execPath, [script('load'), String(port), CONNECTIONS, SECONDS], { input: body });
  return JSON.parse(printed) as Load;
}

/** An AdmissionReview as the API server sends it for a Deployment's pod. */
async function review() {
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
