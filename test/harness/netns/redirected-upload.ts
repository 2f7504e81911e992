// A pod as a mesh leaves it (REDIRECT rules, a proxy on the port that they name, an application on 9000), and uploads to it.
import { fileURLToPath } from 'node:url';
/** The two families of iptables programs. */
import type { Backend } from '../../../lib/netfilter/model.ts';
import type { Family } from '../../../lib/netfilter/packet.ts';
import type { Upload } from '../traffic/upload.ts';
import { redirectRules, tproxyRules } from './istio-rules.ts';
import { ADDRESS, type NetworkNamespace, type Pair } from './network-namespaces.ts';
import { type Program, patient } from './processes.ts';

const LIMIT = 300_000;
/** Bytes of an upload that has several stray segments; fewer on a machine that is slow. */
export const UPLOAD = Math.round(30_000_000 / patient(1));

function script(name: string): string {
  return fileURLToPath(new URL(`../traffic/${name}.ts`, import.meta.url));
}

/** What a mesh puts in a pod: rules, and the proxy that they redirect to. */
export interface MeshInPod {
  /** TCP port of the proxy, and its uid and gid, whose connections are not redirected. */
  proxyPort: number;
  proxyUid: number;
  /** Puts the rules in. */
  redirect(pod: NetworkNamespace, backend: Backend): Promise<void>;
  /** Starts the proxy where it is another than ours; it says "ready". */
  startProxy?(pod: NetworkNamespace): Program;
}

/** @param excluded ports that are not redirected, as the pod's annotation lists them */
const istioWith = (excluded?: string): MeshInPod => ({
  proxyPort: 15_006,
  proxyUid: 1337,
  redirect: (pod, backend) => restoreEach(pod, backend, (family) => redirectRules(family, excluded)),
});

/** Istio's sidecar, with the checker's port excluded. */
export const ISTIO_SIDECAR = istioWith();

/** Puts rules of both families in, as iptables-restore reads them. */
export async function restoreEach(
  pod: NetworkNamespace,
  backend: Backend,
  rulesOf: (family: Family) => string,
): Promise<void> {
  for (const [family, prefix] of [
    ['ipv4', 'iptables'],
    ['ipv6', 'ip6tables'],
  ] as const)
    await pod.must(`${prefix}-${backend}-restore`, ['--noflush'], { input: rulesOf(family) });
}

/**
 * Puts Istio's rules in with the given backend and starts proxy and application.
 * @param excluded ports that are not redirected, as the pod's annotation lists them
 * @param host the one address that the application listens on, where it is not all
 */
export function startMesh(pair: Pair, backend: Backend, excluded?: string, ...host: string[]): Promise<Program[]> {
  return startMeshOf(istioWith(excluded), pair, backend, ...host);
}

/** As startMesh, with the rules and the proxy of any mesh. */
export async function startMeshOf(
  mesh: MeshInPod,
  { pod }: Pair,
  backend: Backend,
  ...host: string[]
): Promise<Program[]> {
  await mesh.redirect(pod, backend);
  const app = pod.start(process.execPath, [script('app'), ...host]);
  const proxy = startProxy(mesh, pod);
  await Promise.all([app.waitForOutput(/ready/), proxy.waitForOutput(/ready/)]);
  return [app, proxy];
}

const startProxy = (mesh: MeshInPod, pod: NetworkNamespace) =>
  mesh.startProxy?.(pod) ?? startAsProxy(mesh, pod, script('proxy'), String(mesh.proxyPort));

function startAsProxy({ proxyUid }: MeshInPod, pod: NetworkNamespace, path: string, ...args: string[]): Program {
  const user = ['--reuid', String(proxyUid), '--regid', String(proxyUid), '--clear-groups'];
  return pod.start('setpriv', [...user, process.execPath, path, ...args]);
}

/** Starts a script as Istio's sidecar's user, whose connections its rules do not redirect. */
export function startAsSidecar(pod: NetworkNamespace, path: string, ...args: string[]): Program {
  return startAsProxy(ISTIO_SIDECAR, pod, path, ...args);
}

/**
 * As startMeshOf with nft, but one program is the application, and opens the proxy's own connections too.
 * @returns that program, of which the arguments are its path and what follows
 */
export async function startMeshWith(mesh: MeshInPod, { pod }: Pair, path: string, ...args: string[]): Promise<Program> {
  await mesh.redirect(pod, 'nft');
  const [proxy, program] = [startProxy(mesh, pod), startAsProxy(mesh, pod, path, ...args)];
  await Promise.all([proxy.waitForOutput(/ready/), program.waitForOutput(/ready/)]);
  return program;
}

/**
 * Puts Istio's TPROXY rules in, with the routing that they need, and starts proxy and application. IPv4 only.
 */
export async function startTproxyMesh({ pod }: Pair): Promise<Program[]> {
  await pod.must('iptables-nft-restore', ['--noflush'], { input: tproxyRules('ipv4') });
  await pod.must('ip', ['rule', 'add', 'fwmark', '1337', 'lookup', '133']);
  await pod.must('ip', ['route', 'add', 'local', 'default', 'dev', 'lo', 'table', '133']);
  const app = pod.start(process.execPath, [script('app')]);
  const opener = fileURLToPath(new URL('../traffic/transparent.pl', import.meta.url));
  const proxy = pod.start('perl', [opener, '15006', process.execPath, script('proxy'), '15006', '3']);
  await Promise.all([app.waitForOutput(/ready/), proxy.waitForOutput(/ready/)]);
  return [app, proxy];
}

/**
 * Uploads from the gateway, one after the other.
 * @param onUpload called after each
 * @returns what became of each
 */
export async function upload(
  { gateway }: Pair,
  family: Family,
  bytes: number,
  count: number,
  onUpload: (upload: Upload) => void = () => undefined,
): Promise<Upload[]> {
  const client = gateway.start(process.execPath, [script('upload'), ADDRESS.pod[family], String(bytes), String(count)]);
  let seen = 0;
  const read = () => {
    const lines = client.output
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Upload);
    for (const line of lines.slice(seen)) onUpload(line);
    seen = lines.length;
    return lines;
  };
  client.child.stdout?.on('data', read);
  const { exitCode, stderr } = await client.end(LIMIT);
  const uploads = read();
  if (exitCode !== 0 || uploads.length !== count) throw new Error(`upload ended with ${exitCode}: ${stderr}`);
  return uploads;
}

/** What test/harness/traffic/upload.ts prints: one upload a line. */
export function readUploads(printed: string): Upload[] {
  const lines = printed.split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as Upload);
}
