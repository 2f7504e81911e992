// The shipped node agent with the capabilities of its container, against an API server of the test's own.
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Program } from './processes.ts';
import { type Event, eventsOf } from './shipped-programs.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const CAPABILITIES = '-all,+sys_admin,+net_admin';

/** The folders of a node, as the agent sees them, and its service account. */
export interface NodeFolders {
  root: string;
  cniCache: string;
  /** Writes a file of the CNI cache at once, as its readers see it. */
  cache(name: string, text: string): Promise<void>;
  uncache(name: string): Promise<void>;
  remove(): Promise<void>;
}

/** @param ca PEM, of the API server */
export async function makeNodeFolders(ca: string): Promise<NodeFolders> {
  const root = await mkdtemp(join(tmpdir(), 'invalid-drop-node-'));
  const cniCache = join(root, 'cni');
  await mkdir(cniCache);
  await Promise.all([writeFile(join(root, 'ca.crt'), ca), writeFile(join(root, 'token'), 'token')]);
  return {
    root,
    cniCache,
    async cache(name, text) {
      await writeFile(join(root, name), text);
      await rename(join(root, name), join(cniCache, name));
    },
    uncache: (name) => rm(join(cniCache, name)),
    remove: () => rm(root, { recursive: true }),
  };
}

export interface ShippedAgent {
  program: Program;
  port: number;
  events(): Event[];
}

/** Flags of Node in the image's entry point, and the environment of malloc. */
function imageSettings(): { flags: string[]; env: string[] } {
  const text = readFileSync(`${ROOT}node-agent/Containerfile`, 'utf8');
  const entry = JSON.parse(/^ENTRYPOINT (.*)$/m.exec(text)?.[1] ?? '[]') as string[];
  const env = [...text.matchAll(/\b(MALLOC_\w+=\d+)/g)].map(([, setting = '']) => setting);
  return { flags: entry.filter((word) => word.startsWith('--')), env };
}

/**
 * Starts it, and waits until it serves.
 * @param url of the API server
 * @param options further flags
 */
export async function startAgent(url: string, folders: NodeFolders, ...options: string[]): Promise<ShippedAgent> {
  const { flags, env } = imageSettings();
  const { hostname, port: apiPort } = new URL(url);
  const port = await freePort();
  const program = new Program('env', [
    // tap adds hooks for Node to the environment of each program that a test starts.
    ...['-i', `PATH=${process.env['PATH']}`, ...env],
    ...[`KUBERNETES_SERVICE_HOST=${hostname}`, `KUBERNETES_SERVICE_PORT=${apiPort}`],
    ...['setpriv', '--inh-caps', CAPABILITIES, '--bounding-set', CAPABILITIES, '--no-new-privs'],
    ...[process.execPath, ...flags, `${ROOT}dist/agent.js`],
    ...[`--service-account=${folders.root}`, `--cni-cache=${folders.cniCache}`, '--netns-folder=/run/netns'],
    ...['--proc-sys-net=/proc/sys/net', '--node-name=node-1', `--port=${port}`, ...options],
  ]);
  await program.waitForOutput(/"event":"serving"/);
  return { program, port, events: () => eventsOf(program) };
}

/** The agent's port has to be known: it is no option to let the kernel choose one. */
function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' ? (address?.port ?? 0) : 0));
    });
  });
}
