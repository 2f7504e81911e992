// Runs a container of a patched Pod as a runtime would: its command, environment and securityContext, on a read-only
// root file system with a /sys of its own, in which no tracefs is, and with the bundles where the image has them.
import { fileURLToPath } from 'node:url';
import type { Namespace } from './namespaces.ts';
import type { Program } from './processes.ts';

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
const NODE_FOLDER = `${ROOT}node_modules/node/bin`;
const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Positional arguments: the folder of the bundles, `ro` or `rw`, then the program. Runs in a mount namespace of its own. */
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
 */
export function startContainer(pod: Namespace, spec: ContainerSpec, extra: Record<string, string> = {}): Program {
  const context = spec.securityContext ?? {};
  const [command = 'true', ...args] = [...(spec.command ?? []), ...(spec.args ?? [])];
  const mounts = ['-c', MOUNTS, 'sh', `${ROOT}dist`, context.readOnlyRootFilesystem ? 'ro' : 'rw'];
  return pod.start('unshare', [
    ...['--mount', '--propagation', 'private', 'sh', ...mounts],
    ...['setpriv', ...privileges(context)],
    ...['env', '-i', ...environment(spec, extra)],
    ...[command, ...args],
  ]);
}

/** All that the container gets, as NAME=VALUE. tap adds hooks for Node to the environment of whatever a test starts. */
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
