// A pod as a mesh leaves it, without the mesh: inbound TCP is redirected to a proxy, and the application listens beside
// it.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { redirectRules } from '../netns/istio-rules.ts';
import type { Program } from '../netns/processes.ts';
import { ISTIO_SIDECAR, type MeshInPod, readUploads } from '../netns/redirected-upload.ts';
import type { ProgramRunner } from '../netns/stray-segments.ts';
import type { Upload } from '../traffic/upload.ts';
import { apply } from './kubectl.ts';
import { PodPrograms } from './node-side.ts';
import { APP_IMAGE, barePod, getPod, type Pod, RESTRICTED, waitReady } from './pod-status.ts';

const RUN_LIMIT = 120_000;
const traffic = (name: string) => fileURLToPath(new URL(`../traffic/${name}.ts`, import.meta.url));

function container(name: 'app' | 'proxy', port: number, user: number, ...args: string[]) {
  const text = readFileSync(traffic(name), 'utf8');
  return {
    name,
    image: APP_IMAGE,
    imagePullPolicy: 'IfNotPresent',
    // A text has no path, which scripts expect before their arguments.
    command: ['node', '--input-type=module-typescript', '-e', text, name, ...args],
    readinessProbe: { tcpSocket: { port }, periodSeconds: 1 },
    securityContext: { ...RESTRICTED, runAsUser: user },
  };
}

/** The application, and the proxy of a mesh on its port and as its user. */
export function meshContainers({ proxyPort, proxyUid }: Pick<MeshInPod, 'proxyPort' | 'proxyUid'>) {
  return [container('app', 9000, 65532), container('proxy', proxyPort, proxyUid, String(proxyPort))];
}

/**
 * Makes such a pod, and puts the rules in from the node's side. Pod Security `restricted` takes it.
 * @param change of its spec
 */
export async function redirectedPod(namespace: string, name: string, change = {}, metadata = {}): Promise<Pod> {
  await apply(barePod(namespace, name, { containers: meshContainers(ISTIO_SIDECAR), ...change }, metadata));
  await waitReady(namespace, name);
  const programs = new PodPrograms(namespace, name);
  await programs.must('iptables-nft-restore', ['--noflush'], { input: redirectRules('ipv4') });
  return getPod(namespace, name);
}

/** Uploads from a pod, or from elsewhere, one after the other. @returns what became of each */
export async function uploadFrom(
  sender: ProgramRunner,
  address: string,
  bytes: number,
  count: number,
  port = 9000,
): Promise<Upload[]> {
  const args = [traffic('upload'), address, `${bytes}`, `${count}`, '30000', '', `${port}`];
  return readUploads(await sender.must(process.execPath, args, { limit: RUN_LIMIT }));
}

/** Begins an upload from a pod, which goes on until endUpload. */
export async function beginUpload(sender: PodPrograms, address: string): Promise<Program> {
  const upload = await sender.start(process.execPath, [traffic('held-upload'), address]);
  await upload.waitForOutput(/in flight/);
  return upload;
}

/** Lets an upload that was begun come to its end. */
export async function endUpload(upload: Program): Promise<{ sent: number; received: number; error?: string }> {
  upload.child.stdin?.end();
  const { stdout, stderr } = await upload.end(RUN_LIMIT);
  const last = stdout.trim().split('\n').at(-1);
  if (!last?.startsWith('{')) throw new Error(`the upload broke off: ${stdout}${stderr}`);
  return JSON.parse(last);
}
