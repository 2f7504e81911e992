// Debian's releases as trees of their own, whose programs run on this kernel in a namespace of a test, and random
// rulesets that one release's programs write and another's read.
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { readSettings } from '../../tools/cluster/cluster-settings.ts';
import { folderOnce, keyOf } from '../harness/cache-folder.ts';
import { type NetworkNamespace, type Pair, pinNeighbours } from '../harness/netns/network-namespaces.ts';
import { must, type Program } from '../harness/netns/processes.ts';
import type { KernelComparison } from '../harness/random-rulesets/compare-with-kernel.ts';
import { SHAPER } from '../harness/random-rulesets/observer.ts';
import { sourcesOf } from '../kernel-vms/debian.ts';

export interface Userland {
  suite: string;
  /** As `iptables --version` and `nft --version` print them. */
  iptables: string;
  nftables: string;
}

/** Oldest first. */
export const USERLANDS: Userland[] = [
  { suite: 'bullseye', iptables: '1.8.7', nftables: '0.9.8' },
  { suite: 'bookworm', iptables: '1.8.9', nftables: '1.0.6' },
  { suite: 'trixie', iptables: '1.8.11', nftables: '1.1' },
];

const CACHE = `${readSettings(process.env).cache}/kernels`;
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PACKAGES = ['conntrack', 'iptables', 'nftables', 'libatomic1', 'libstdc++6'];
const UNREAD = ['doc', 'man', 'locale', 'info', 'zoneinfo'].map((name) => `/usr/share/${name}/*`);
/** Programs that the installer, the checker and the tests run. */
const PROGRAMS = ['iptables', 'ip6tables'].flatMap((name) =>
  ['nft', 'legacy'].flatMap((backend) => ['', '-save', '-restore'].map((what) => `${name}-${backend}${what}`)),
);
const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** The release's tree, made once. */
export async function makeTree({ suite }: Userland): Promise<string> {
  const excluded = UNREAD.map((path) => `--dpkgopt=path-exclude=${path}`);
  const include = `--include=${PACKAGES.join()}`;
  const options = ['--variant=minbase', '--aptopt=Apt::Install-Recommends "false"', ...excluded, include];
  const key = keyOf([options, sourcesOf(suite)]);
  const folder = await folderOnce(`${CACHE}/userland-${suite}-${key}`, async (unfinished) => {
    const tree = `${unfinished}/tree`;
    await must('mmdebstrap', [...options, suite, tree, ...sourcesOf(suite)], { limit: 600_000 });
    // What is mounted over these while a program of it runs.
    await mkdir(`${tree}/opt/invalid-drop`, { recursive: true });
    await writeFile(`${tree}/usr/local/bin/node`, '');
  });
  return `${folder}/tree`;
}

/** Positional arguments: the tree, the bundles, Node, then the program. In a mount namespace of its own. */
const MOUNTS = `set -e
tree=$1
mount --rbind /proc "$tree/proc"
mount --rbind /dev "$tree/dev"
mount -t tmpfs tmpfs "$tree/run"
mount --bind "$2" "$tree/opt/invalid-drop"
mount --bind "$3" "$tree/usr/local/bin/node"
shift 3
exec "$@"`;

/** Starts a program of the tree in the namespace, with the tree as its root: the Node that ships is there too. */
export function startInTree(
  namespace: NetworkNamespace,
  tree: string,
  command: string[],
  env: Record<string, string> = {},
): Program {
  const entered = ['sh', '-c', MOUNTS, 'sh', tree, `${ROOT}dist`, `${ROOT}node_modules/node/bin/node`];
  const clean = Object.entries({ PATH: SYSTEM_PATH, ...env }).map(([name, value]) => `${name}=${value}`);
  return namespace.start('unshare', [
    ...['--mount', '--propagation', 'private', ...entered],
    ...['env', '-i', ...clean, 'chroot', tree, ...command],
  ]);
}

/** As startInTree, to its end; an exit code other than 0 is an error. */
export async function mustInTree(
  namespace: NetworkNamespace,
  tree: string,
  command: string[],
  input = '',
): Promise<string> {
  const program = startInTree(namespace, tree, command);
  program.child.stdin?.end(input);
  const { exitCode, stdout, stderr } = await program.end();
  if (exitCode !== 0) throw new Error(`${command.join(' ')} of ${tree}: exit code ${exitCode}: ${stderr}`);
  return stdout;
}

/**
 * A folder for PATH whose programs are those of the tree: for programs of this machine that run them.
 * @param folder made anew
 */
export async function makeWrappers(folder: string, tree: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  for (const program of ['nft', ...PROGRAMS]) {
    // nft 0.9.8 opens /dev/stdin, and a socket, as Node gives one, cannot be opened.
    const before = program === 'nft' ? 'cat | ' : 'exec ';
    await writeFile(`${folder}/${program}`, `#!/bin/sh\n${before}chroot "${tree}" ${program} "$@"\n`);
    await chmod(`${folder}/${program}`, 0o755);
  }
  return folder;
}

const WORKER = fileURLToPath(new URL('../harness/random-rulesets/compare-with-kernel.ts', import.meta.url));
const COUNT = 40;
const LIMIT = 240_000;
/** Positional arguments: two trees, then the program. In a mount namespace of its own. */
const BOTH_MOUNTS = `set -e
for tree in "$1" "$2"; do
  mount --rbind /proc "$tree/proc"
  mount --rbind /dev "$tree/dev"
done
shift 2
exec "$@"`;

/**
 * Compares the verdict with the kernel.
 * @param writer tree of the release whose programs write the rules, and `reader` of that whose programs read them
 * @param folder for what is needed meanwhile
 */
export async function compareUserlands(
  pair: Pair,
  writer: string,
  reader: string,
  folder: string,
): Promise<KernelComparison[]> {
  const { pod, gateway } = pair;
  await pinNeighbours(pair);
  await gateway.must('nft', ['-f', '-'], { input: SHAPER });
  const path = process.env['PATH'] ?? '';
  const env = {
    PATH: `${await makeWrappers(`${folder}/readers`, reader)}:${path}`,
    WRITERS: `${await makeWrappers(`${folder}/writers`, writer)}:${path}`,
  };
  const mounted = ['--mount', '--propagation', 'private', 'sh', '-c', BOTH_MOUNTS, 'sh', writer, reader];
  const command = [process.execPath, WORKER, gateway.name, '1', String(COUNT)];
  const worker = pod.start('unshare', [...mounted, ...command], { env: { ...process.env, ...env } });
  const { exitCode, stdout, stderr } = await worker.end(LIMIT);
  if (exitCode !== 0) throw new Error(`the worker ended with ${exitCode} after "${stdout.slice(-200)}": ${stderr}`);
  const lines = stdout.split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as KernelComparison);
}
