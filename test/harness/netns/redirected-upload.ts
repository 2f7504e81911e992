// A pod as Istio leaves it (REDIRECT rules, a proxy on 15006, an application on 9000), and uploads to it.
import { fileURLToPath } from 'node:url';
/** The two families of iptables programs. */
import type { Backend } from '../../../lib/netfilter/model.ts';
import type { Family } from '../../../lib/netfilter/packet.ts';
import type { Upload } from '../traffic/upload.ts';
import { redirectRules, tproxyRules } from './istio-rules.ts';
import { ADDRESS, type NetworkNamespace, type Pair } from './network-namespaces.ts';
import { type Program, patient } from './processes.ts';

const SIDECAR = ['--reuid', '1337', '--regid', '1337', '--clear-groups'];
const LIMIT = 300_000;
/** Bytes of an upload that has several stray segments; fewer on a machine that is slow. */
export const UPLOAD = Math.round(30_000_000 / patient(1));

function script(name: string): string {
  return fileURLToPath(new URL(`../traffic/${name}.ts`, import.meta.url));
}

/**
 * Puts Istio's rules in with the given backend and starts proxy and application.
 * @param excluded ports that are not redirected, as the pod's annotation lists them
 * @param host the one address that the application listens on, where it is not all
 */
export async function startMesh(
  { pod }: Pair,
  backend: Backend,
  excluded?: string,
  ...host: string[]
): Promise<Program[]> {
  await redirectInbound(pod, backend, excluded);
  const app = pod.start(process.execPath, [script('app'), ...host]);
  const proxy = startAsSidecar(pod, script('proxy'));
  await Promise.all([app.waitForOutput(/ready/), proxy.waitForOutput(/ready/)]);
  return [app, proxy];
}

async function redirectInbound(pod: NetworkNamespace, backend: Backend, excluded?: string): Promise<void> {
  for (const [family, prefix] of [
    ['ipv4', 'iptables'],
    ['ipv6', 'ip6tables'],
  ] as const) {
    await pod.must(`${prefix}-${backend}-restore`, ['--noflush'], { input: redirectRules(family, excluded) });
  }
}

/** Starts a script as the sidecar's user, whose connections Istio's rules do not redirect. */
function startAsSidecar(pod: NetworkNamespace, path: string, ...args: string[]): Program {
  return pod.start('setpriv', [...SIDECAR, process.execPath, path, ...args]);
}

/**
 * As startMesh with nft, but one program is the application, and opens the sidecar's own connections too.
 * @returns that program, of which the arguments are its path and what follows
 */
export async function startMeshWith({ pod }: Pair, path: string, ...args: string[]): Promise<Program> {
  await redirectInbound(pod, 'nft');
  const [proxy, program] = [startAsSidecar(pod, script('proxy')), startAsSidecar(pod, path, ...args)];
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
  const proxy = pod.start('perl', [opener, '15006', process.execPath, script('proxy'), '3']);
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
