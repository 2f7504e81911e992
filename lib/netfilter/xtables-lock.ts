// Which file iptables-legacy locks.
import { accessSync, constants } from 'node:fs';

const DEFAULT = '/run/xtables.lock';

/**
 * iptables-legacy opens its lock file with O_CREAT, which a read-only file system allows for a file that exists:
 * so where the default cannot be made, any file of the image will do, and no writable mount is needed.
 * @param env XTABLES_LOCKFILE in it wins (iptables 1.8.6 or later)
 * @param fallback a file that exists
 * @returns the environment for iptables
 */
export function withLockFile(env: NodeJS.ProcessEnv, fallback: string): NodeJS.ProcessEnv {
  if (env['XTABLES_LOCKFILE']) return env;
  const usable = allows(DEFAULT, constants.R_OK) || allows('/run', constants.W_OK);
  return { ...env, XTABLES_LOCKFILE: usable ? DEFAULT : fallback };
}

function allows(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}
