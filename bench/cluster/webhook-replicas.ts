// The webhook's replicas: where they are, what they hold, and how soon a new one is Ready.
import { readFile } from 'node:fs/promises';
import { performance } from 'node:perf_hooks';
import { OWN_NAMESPACE } from '../../lib/contract.ts';
import { kubectl } from '../../test/harness/cluster/kubectl.ts';
import { isReady } from '../../test/harness/cluster/pod-status.ts';
import { rolledOut } from '../../test/harness/cluster/webhook-installation.ts';
import type { Tell } from '../../test/harness/progress-line.ts';
import { eventually } from '../../test/harness/wait-until.ts';
import type { Layout } from '../../tools/cluster/cluster-layout.ts';
import { pidsOfPod } from '../../tools/cluster/cluster-node.ts';
import { type Figure, makeFigure } from '../figure.ts';
import { readAgeSeconds, readMemory } from '../proc-numbers.ts';
import { median } from '../samples.ts';
import type { Api, ApiJson } from './bench-api.ts';
import { podsOf } from './bench-pods.ts';

const REPLICAS = `${podsOf(OWN_NAMESPACE)}?labelSelector=app.kubernetes.io/component%3Dwebhook`;
const SECRET = `/api/v1/namespaces/${OWN_NAMESPACE}/secrets/invalid-drop-webhook-tls`;
const STARTS = 3;
const READY_LIMIT = 60_000;

export interface Replica {
  name: string;
  address: string;
  pid: number;
}

/** @returns those that are not being deleted */
export async function findReplicas(api: Api, layout: Layout): Promise<Replica[]> {
  const { items } = await api.ask('GET', REPLICAS);
  const present = items.filter(({ metadata }: ApiJson) => metadata.deletionTimestamp === undefined);
  return Promise.all(
    present.map(async ({ metadata, status }: ApiJson) => ({
      name: metadata.name,
      address: status.podIP,
      pid: await programOf(layout, OWN_NAMESPACE, metadata.name, 'webhook.js'),
    })),
  );
}

/** The process of a pod whose command line names a program. */
export async function programOf(layout: Layout, namespace: string, pod: string, program: string): Promise<number> {
  for (const pid of await pidsOfPod(layout, namespace, pod)) {
    const command = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
    if (command.some((word) => word.endsWith(`/${program}`))) return pid;
  }
  throw new Error(`no ${program} in pod ${namespace}/${pod}`);
}

/** Bytes that the replica with the most has in memory. */
export async function greatestRss(replicas: Replica[]): Promise<number> {
  const all = await Promise.all(replicas.map(({ pid }) => readMemory(pid)));
  return Math.max(...all.map(({ rss }) => rss));
}

/** From the start of a new replica's process to the API server telling that the replica is Ready. */
export async function benchStart(api: Api, layout: Layout, tell: Tell): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const secret of ['there', 'not there'] as const) {
    const times: number[] = [];
    for (let i = 0; i < STARTS; i++) {
      tell(`webhook: start ${i + 1} of ${STARTS}, Secret ${secret}`);
      times.push(await startOnce(api, layout, secret === 'there'));
    }
    const name = `webhook, start to Ready, Secret ${secret} (median of ${STARTS})`;
    figures.push(makeFigure({ name, value: median(times), unit: 'ms' }));
  }
  await kubectl(['scale', 'deployment/invalid-drop-webhook', '-n', OWN_NAMESPACE, '--replicas=2']);
  await rolledOut();
  return figures;
}

/** Takes all replicas down, and one up. @returns milliseconds */
async function startOnce(api: Api, layout: Layout, keepSecret: boolean): Promise<number> {
  const scale = (replicas: number) =>
    kubectl(['scale', 'deployment/invalid-drop-webhook', '-n', OWN_NAMESPACE, `--replicas=${replicas}`]);
  await scale(0);
  await kubectl([
    'delete',
    'pods',
    '-n',
    OWN_NAMESPACE,
    '-l',
    'app.kubernetes.io/component=webhook',
    '--force',
    '--grace-period=0',
  ]);
  await eventually('no replica is left', async () => (await api.ask('GET', REPLICAS)).items.length === 0);
  if (!keepSecret) await api.ask('DELETE', SECRET);
  const ready = await firstReady(api, REPLICAS, () => scale(1));
  const [replica] = await findReplicas(api, layout);
  if (!replica) throw new Error('the replica is gone');
  return (await readAgeSeconds(replica.pid)) * 1000 - (performance.now() - ready);
}

/**
 * @param begin what makes the pod
 * @returns when the watch first said that a pod of the collection is Ready, on the clock of `performance`
 */
async function firstReady(api: Api, path: string, begin: () => Promise<unknown>): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const watch = api.watch(path, (pod) => {
    if (isReady(pod)) resolve(performance.now());
  });
  const timeout = setTimeout(() => reject(new Error(`no pod of ${path} was Ready in time`)), READY_LIMIT);
  try {
    await begin();
    return await promise;
  } finally {
    clearTimeout(timeout);
    watch.stop();
  }
}
