// Runs a program on an image's root file system as a container would: that root and nothing else, read-only, /dev and
// /proc, an empty read-only /run. The one difference: CAP_SYS_CHROOT stays, for the change of root comes last.
import type { Namespace } from './netns/namespaces.ts';
import type { Program } from './netns/processes.ts';

const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Positional arguments: the root, then the program. Runs in a mount namespace of its own. */
const MOUNTS = `set -e
root=$1
shift
mount --bind "$root" "$root"
mount -o remount,ro,bind "$root"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -t tmpfs -o ro tmpfs "$root/run"
exec "$@"`;

/**
 * Starts `command` in the namespace, looked up in the image.
 * @param user numeric `uid:gid`
 * @param capabilities those that the pod adds, such as `net_admin`
 */
export function startInImage(
  pod: Namespace,
  root: string,
  { command, user, capabilities = [] }: { command: string[]; user: string; capabilities?: string[] },
): Program {
  // chroot needs two more to become another user, who has none then.
  const needed = user === '0:0' ? ['sys_chroot'] : ['sys_chroot', 'setuid', 'setgid'];
  const kept = ['-all', ...[...needed, ...capabilities].map((name) => `+${name}`)].join(',');
  return pod.start('unshare', [
    ...['--mount', '--propagation', 'private', 'sh', '-c', MOUNTS, 'sh', root],
    ...['env', '-i', `PATH=${SYSTEM_PATH}`],
    ...['setpriv', '--clear-groups', '--inh-caps', kept, '--bounding-set', kept, '--no-new-privs'],
    ...['chroot', ...(user === '0:0' ? [] : [`--userspec=${user}`, '--groups=']), root, ...command],
  ]);
}
