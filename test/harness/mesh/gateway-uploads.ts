// Uploads through the mesh's gateway, and the stray segments on their way from it to the pod.
import { fileURLToPath } from 'node:url';
import { ISTIO_NAMESPACE } from '../../../tools/mesh/istio-installation.ts';
import { getJson, kubectl } from '../cluster/kubectl.ts';
import { isReady, type Pod } from '../cluster/pod-status.ts';
import { Program } from '../netns/processes.ts';
import { readUploads } from '../netns/redirected-upload.ts';
import { countStrays, type ProgramRunner, startStrays, stopStrays } from '../netns/stray-segments.ts';
import type { Upload } from '../traffic/upload.ts';
import { eventually } from '../wait-until.ts';

const CLIENT = fileURLToPath(new URL('../traffic/upload.ts', import.meta.url));
const GATEWAY_LABEL = 'app=istio-ingressgateway';
const UPLOAD_LIMIT = 30_000;
/** Of one run of the client, however many its uploads are. */
const RUN_LIMIT = 800_000;
/** As much as the original incident's objects. */
export const LARGE = 300_000_000;
const EVERY = 500;

/** The gateway's pod, once it is Ready. */
export function gatewayPod(): Promise<Pod> {
  return eventually('the gateway is Ready', async () => {
    const list = await getJson<{ items: Pod[] }>('pods', '-n', ISTIO_NAMESPACE, '-l', GATEWAY_LABEL);
    return list.items.find((pod) => isReady(pod) && !pod.metadata['deletionTimestamp']);
  });
}

/**
 * Uploads one after the other, from the cluster's network.
 * @param address where to: the gateway's, or a pod's own
 * @param name the host name to ask the gateway for
 * @returns what became of each
 */
export async function upload(address: string, name: string, count: number, bytes = LARGE): Promise<Upload[]> {
  const client = new Program(process.execPath, [CLIENT, address, `${bytes}`, `${count}`, `${UPLOAD_LIMIT}`, name]);
  const { exitCode, stdout, stderr } = await client.end(RUN_LIMIT);
  if (exitCode !== 0) throw new Error(`upload ended with ${exitCode}: ${stderr}`);
  return readUploads(stdout);
}

/** Waits until the gateway passes an upload on to the pod: Envoys learn of a new Service in their own time. */
export async function untilPassedOn(address: string, name: string): Promise<void> {
  await eventually(`${name} answers through the gateway`, async () => (await upload(address, name, 1, 1000))[0]?.ok);
}

/**
 * Runs `work` while every 500th full segment from the sender, or another share, is shifted.
 * @returns its result and how many were
 */
export async function withStrays<T>(
  sender: ProgramRunner,
  work: () => Promise<T>,
  every = EVERY,
  port?: number,
): Promise<{ result: T; strays: number }> {
  await startStrays(sender, every, { port });
  try {
    const result = await work();
    return { result, strays: await countStrays(sender) };
  } finally {
    await stopStrays(sender);
  }
}

/** Lines of the gateway's access log that name a host, since it started. */
export async function accessLog(gateway: Pod, name: string): Promise<string[]> {
  const log = await kubectl(['logs', '-n', ISTIO_NAMESPACE, gateway.metadata.name]);
  return log.split('\n').filter((line) => line.includes(`"${name}"`));
}
