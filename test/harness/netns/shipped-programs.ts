// The shipped programs, run as a container runtime would run them, and what they print.

import { copyFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CHECK_COMMAND, INSTALL_COMMAND, READY_FIFO, SIDECAR_COMMAND, WAIT_COMMAND } from '../../../lib/contract.ts';
import type { NetworkNamespace } from './network-namespaces.ts';
import { must, type Program } from './processes.ts';

const COMMANDS = { install: INSTALL_COMMAND, check: CHECK_COMMAND, sidecar: SIDECAR_COMMAND, wait: WAIT_COMMAND };

/** A container as the webhook writes it. */
export function containerSpec(
  program: keyof typeof COMMANDS,
  capabilities: string[],
  ...flags: string[]
): ContainerSpec {
  return {
    name: `invalid-drop-${program}`,
    command: [...COMMANDS[program], ...flags],
    securityContext: {
      runAsUser: 0,
      runAsGroup: 0,
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'], add: capabilities },
    },
  };
}

export type Event = { time: string; event: string; [key: string]: unknown };

/** The JSON lines that a program has logged so far. */
export function eventsOf({ output }: Pick<Program, 'output'>): Event[] {
  return output
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Event);
}

/** Runs the installer to its end. */
export async function install(pod: NetworkNamespace, env: Record<string, string> = {}, capabilities = ['NET_ADMIN']) {
  const { exitCode, stdout, stderr } = await startContainer(pod, containerSpec('install', capabilities), env).end();
  const events = eventsOf({ output: stdout });
  return { exitCode, stderr, events, family: (name: string) => events.find((event) => event['family'] === name) };
}

/** Starts the checker and waits for its first check. */
export async function startChecker(
  pod: NetworkNamespace,
  env: Record<string, string> = {},
  capabilities = ['NET_ADMIN'],
): Promise<Program> {
  const checker = startContainer(pod, containerSpec('check', capabilities), env);
  await checker.waitForOutput(/"event":"(ready|not-guarded|check-failed)"/);
  return checker;
}

/** Starts the one container that installs first and then checks; does not wait for anything. */
export function startSidecar(
  pod: NetworkNamespace,
  env: Record<string, string> = {},
  capabilities = ['NET_ADMIN'],
): Program {
  return startContainer(pod, containerSpec('sidecar', capabilities), env);
}

/** Gets a page from inside a namespace. */
export async function getPage(from: NetworkNamespace, url: string): Promise<{ status: number; body: string }> {
  const printed = await from.must('curl', [
    '--silent',
    '--globoff',
    '--noproxy',
    '*',
    '--write-out',
    '\n%{http_code}',
    url,
  ]);
  const end = printed.lastIndexOf('\n');
  return { status: Number(printed.slice(end + 1)), body: printed.slice(0, end) };
}

/** What is read of a container; raw JSON as the API server would store it. */
export interface ContainerSpec {
  name: string;
  command?: string[];
  args?: string[];
  env?: { name: string; value?: string }[];
  securityContext?: {
    runAsUser?: number;
    runAsGroup?: number;
    readOnlyRootFilesystem?: boolean;
    allowPrivilegeEscalation?: boolean;
    capabilities?: { drop?: string[]; add?: string[] };
  };
}

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
/** The folder of the bundles. */
const BUNDLES = `${ROOT}dist`;
const NODE_FOLDER = `${ROOT}node_modules/node/bin`;
const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * Fills a folder with what the image has at /opt/invalid-drop: a container and its postStart hook share the FIFO.
 * @returns the folder
 */
export async function programsAsInImage(folder: string): Promise<string> {
  for (const file of ['check.js', 'package.json']) await copyFile(`${BUNDLES}/${file}`, `${folder}/${file}`);
  await must('mkfifo', ['-m', '600', `${folder}/${basename(READY_FIFO)}`]);
  return folder;
}

/**
 * Positional arguments: the folder of the bundles, `ro` or `rw`, then the program. Runs in a mount namespace of its
 * own.
 */
const MOUNTS = `set -e
mount -t tmpfs -o mode=755 tmpfs /opt
mkdir /opt/invalid-drop
mount --bind "$1" /opt/invalid-drop
mount -o remount,ro,bind /opt/invalid-drop
mount -o remount,ro /opt
if [ "$2" = ro ]; then
  mount -o remount,ro,bind /
  mount -t tmpfs -o ro tmpfs /run
  mount -t sysfs -o ro sysfs /sys
fi
shift 2
exec "$@"`;

/**
 * Starts the container in the namespace.
 * @param extra environment that a test adds, such as a shorter schedule
 * @param programs what it has at /opt/invalid-drop
 */
export function startContainer(
  pod: NetworkNamespace,
  spec: ContainerSpec,
  extra: Record<string, string> = {},
  programs = BUNDLES,
): Program {
  const context = spec.securityContext ?? {};
  const [command = 'true', ...args] = [...(spec.command ?? []), ...(spec.args ?? [])];
  const mounts = ['-c', MOUNTS, 'sh', programs, context.readOnlyRootFilesystem ? 'ro' : 'rw'];
  return pod.start('unshare', [
    ...['--mount', '--propagation', 'private', 'sh', ...mounts],
    ...['setpriv', ...privileges(context)],
    ...['env', '-i', ...environment(spec, extra)],
    ...[command, ...args],
  ]);
}

/**
 * All that the container gets, as NAME=VALUE. tap adds hooks for Node to the environment of each program that a test
 * starts.
 */
function environment(spec: ContainerSpec, extra: Record<string, string>): string[] {
  const given = Object.fromEntries((spec.env ?? []).map(({ name, value }) => [name, value ?? '']));
  const all = { PATH: `${NODE_FOLDER}:${SYSTEM_PATH}`, ...given, ...extra };
  return Object.entries(all).map(([name, value]) => `${name}=${value}`);
}

function privileges(context: NonNullable<ContainerSpec['securityContext']>): string[] {
  const added = (context.capabilities?.add ?? []).map((name) => `+${name.toLowerCase()}`);
  const capabilities = ['-all', ...added].join(',');
  return [
    '--reuid',
    String(context.runAsUser ?? 0),
    '--regid',
    String(context.runAsGroup ?? 0),
    '--clear-groups',
    '--inh-caps',
    capabilities,
    '--bounding-set',
    capabilities,
    ...(context.allowPrivilegeEscalation === false ? ['--no-new-privs'] : []),
  ];
}

/** Positional arguments: the root, volumes as SOURCE:TARGET, then the program. Runs in a mount namespace of its own. */
const IMAGE_MOUNTS = `set -e
root=$1
volumes=$2
shift 2
mount --bind "$root" "$root"
for volume in $volumes; do
  mkdir -p "$root\${volume#*:}"
  mount --rbind "\${volume%%:*}" "$root\${volume#*:}"
done
mount -o remount,ro,bind "$root"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -t tmpfs -o ro tmpfs "$root/run"
exec "$@"`;

interface InImage {
  command: string[];
  user: string;
  capabilities?: string[];
  volumes?: string[];
}

/**
 * Starts `command` in the namespace, looked up in the image.
 * @param user numeric `uid:gid`
 * @param capabilities those that the pod adds, such as `net_admin`
 * @param volumes folders of this machine, as SOURCE:TARGET
 */
export function startInImage(
  pod: NetworkNamespace,
  root: string,
  { command, user, capabilities = [], volumes = [] }: InImage,
): Program {
  // chroot needs two more to become another user, who has none then.
  const needed = user === '0:0' ? ['sys_chroot'] : ['sys_chroot', 'setuid', 'setgid'];
  const kept = ['-all', ...[...needed, ...capabilities].map((name) => `+${name}`)].join(',');
  return pod.start('unshare', [
    ...['--mount', '--propagation', 'private', 'sh', '-c', IMAGE_MOUNTS, 'sh', root, volumes.join(' ')],
    ...['env', '-i', `PATH=${SYSTEM_PATH}`],
    ...['setpriv', '--clear-groups', '--inh-caps', kept, '--bounding-set', kept, '--no-new-privs'],
    ...['chroot', ...(user === '0:0' ? [] : [`--userspec=${user}`, '--groups=']), root, ...command],
  ]);
}
