// A container registry for tests, with TLS by a CA of its own and a password, in the network of a test cluster, whose nodes
// trust it. It is one of the cluster's programs: it ends, and its files go, when the cluster is taken down.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { makeAuthority } from '../../../tools/cluster/cluster-certificates.ts';
import { type Layout, layoutOf, NETWORK } from '../../../tools/cluster/cluster-layout.ts';
import { enterNetwork } from '../../../tools/cluster/cluster-node.ts';
import { startDaemon } from '../../../tools/cluster/cluster-processes.ts';
import type { ReleaseProgramName } from '../../../tools/release/release-programs.ts';
import { run } from '../netns/processes.ts';
import { eventually } from '../wait-until.ts';

/** All nodes and the tests reach it there: the nodes' bridges are one network. */
export const REGISTRY_ADDRESS = `${NETWORK.node.ipv4}:5000`;
const USER = 'tester';
const PASSWORD = 'pull-and-push';
/** The registry takes bcrypt alone: `perl -e 'print crypt("pull-and-push", q($2b$04$abcdefghijklmnopqrstuu))'` */
const HTPASSWD = `${USER}:$2b$04$abcdefghijklmnopqrstuu8/D8CpAo2fBWVMgRQBJaEfr7d/J0eeW\n`;
const SERVE_LIMIT = 30_000;

/** What programs need in order to use the registry. */
export interface RegistryAccess {
  /** host:port, as references of images begin. */
  address: string;
  user: string;
  password: string;
  /** Path of the CA's certificate. */
  caFile: string;
  /** Folder of a Docker config.json with the password. */
  dockerConfig: string;
  /** Path of the log, with a line for each request. */
  log: string;
  /** Paths of the programs that use it. */
  programs: Record<ReleaseProgramName, string>;
}

const folderOf = ({ state }: Layout) => `${state}/registry`;

/**
 * Starts it in a cluster that is up, and lets the cluster's nodes trust it. Any test finds it with openRegistry.
 * @throws Error where it does not answer within 30 s, with its log
 */
export async function startRegistry(layout: Layout, programs: RegistryAccess['programs']): Promise<RegistryAccess> {
  const folder = folderOf(layout);
  const access = {
    address: REGISTRY_ADDRESS,
    user: USER,
    password: PASSWORD,
    caFile: `${folder}/ca.crt`,
    dockerConfig: `${folder}/docker`,
    log: `${layout.logs}/registry.log`,
    programs,
  };
  await writeFiles(folder, access);
  await trustOnNodes(layout, access.caFile);
  // Traces would go to a collector, which there is not.
  const command = ['env', 'OTEL_TRACES_EXPORTER=none', programs.registry, 'serve', `${folder}/config.json`];
  await startDaemon(layout, 'registry', enterNetwork(layout, command));
  await eventually('the registry answers', () => answers(layout, access), SERVE_LIMIT).catch(async (error: Error) => {
    throw new Error(`${error.message}: ${(await readFile(access.log, 'utf8')).slice(-2000)}`);
  });
  return access;
}

/** The registry of the cluster that CLUSTER names. @throws Error where none was started */
export async function openRegistry(): Promise<RegistryAccess> {
  const layout = layoutOf(process.env['CLUSTER'] ?? 'invalid-drop');
  return JSON.parse(await readFile(`${folderOf(layout)}/access.json`, 'utf8')) as RegistryAccess;
}

/** What a Docker config.json, and a pull secret, say of the registry. */
export function dockerConfigOf({ address, user, password }: Pick<RegistryAccess, 'address' | 'user' | 'password'>) {
  return { auths: { [address]: { auth: Buffer.from(`${user}:${password}`).toString('base64') } } };
}

async function writeFiles(folder: string, access: RegistryAccess): Promise<void> {
  await mkdir(access.dockerConfig, { recursive: true });
  const authority = await makeAuthority('registry CA');
  const { certificate, key } = await authority.issue({ commonName: 'registry', names: [NETWORK.node.ipv4] });
  const config = {
    version: '0.1',
    log: { level: 'info', formatter: 'json' },
    storage: { filesystem: { rootdirectory: `${folder}/storage` }, delete: { enabled: true } },
    http: { addr: REGISTRY_ADDRESS, tls: { certificate: `${folder}/tls.crt`, key: `${folder}/tls.key` } },
    auth: { htpasswd: { realm: 'registry', path: `${folder}/htpasswd` } },
  };
  const texts = {
    'ca.crt': authority.certificate,
    'tls.crt': certificate,
    'tls.key': key,
    htpasswd: HTPASSWD,
    'config.json': JSON.stringify(config),
    'docker/config.json': JSON.stringify(dockerConfigOf(access)),
    'access.json': JSON.stringify(access),
  };
  for (const [name, text] of Object.entries(texts)) await writeFile(`${folder}/${name}`, text, { mode: 0o600 });
}

/** containerd reads it at each pull (containerd, docs/hosts.md). */
async function trustOnNodes({ registries }: Layout, caFile: string): Promise<void> {
  await mkdir(`${registries}/${REGISTRY_ADDRESS}`, { recursive: true });
  const hosts = `server = "https://${REGISTRY_ADDRESS}"\n[host."https://${REGISTRY_ADDRESS}"]\n  ca = "${caFile}"\n`;
  await writeFile(`${registries}/${REGISTRY_ADDRESS}/hosts.toml`, hosts);
}

async function answers(layout: Layout, access: RegistryAccess): Promise<boolean> {
  const env = { ...process.env, ...registryEnvironment(access) };
  const [command = '', ...args] = enterNetwork(layout, [access.programs.crane, 'catalog', REGISTRY_ADDRESS]);
  const { exitCode, stderr } = await run(command, args, { env });
  if (exitCode !== 0) throw new Error(stderr);
  return true;
}

/** Environment variables by which crane, cosign and helm trust the registry, and have its password. */
export function registryEnvironment({ caFile, dockerConfig }: RegistryAccess): Record<string, string> {
  return { SSL_CERT_FILE: caFile, DOCKER_CONFIG: dockerConfig };
}
