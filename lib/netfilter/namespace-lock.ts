// Locks: one run of ours at a time in a network namespace, and the file that iptables-legacy locks.
import { accessSync, constants } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';

/**
 * Containers of a pod share no file system, but abstract Unix sockets belong to the network namespace (unix(7)), and
 * the kernel frees one when its process ends, however it ends.
 */
const NAME = '\0invalid-drop.lock';

export interface NamespaceLock {
  /** False where another process kept it for longer than the limit. */
  held: boolean;
  release(): void;
}

/**
 * Waits for the lock of this network namespace.
 * @param limit milliseconds to wait at most; a lock that is never released must not keep a pod from its rule
 * @returns the lock, or one that is not held when the limit has passed. Never throws.
 */
export async function takeNamespaceLock(limit: number): Promise<NamespaceLock> {
  const deadline = performance.now() + limit;
  while (performance.now() < deadline) {
    const lock = await tryLock();
    if (lock) return lock;
    await holderGone(deadline - performance.now());
  }
  return { held: false, release: () => undefined };
}

function tryLock(): Promise<NamespaceLock | undefined> {
  return new Promise((resolve) => {
    const waiting = new Set<Socket>();
    const server: Server = createServer((socket) => {
      waiting.add(socket.on('error', () => undefined));
    });
    const release = () => {
      server.close();
      for (const socket of waiting) socket.destroy();
    };
    server.once('error', () => resolve(undefined));
    server.listen({ path: NAME }, () => resolve({ held: true, release }));
  });
}

/** The holder's socket closes when it releases the lock or dies. */
function holderGone(limit: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ path: NAME });
    const timer = setTimeout(() => socket.destroy(), Math.max(limit, 1));
    socket.on('error', () => undefined);
    socket.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
    socket.resume();
  });
}

const XTABLES_LOCK = '/run/xtables.lock';

/**
 * iptables-legacy opens its lock file with O_CREAT, which a read-only file system allows for a file that exists: where
 * the default cannot be made, any file of the image will do, and no writable mount is needed.
 * @param env XTABLES_LOCKFILE in it wins (iptables 1.8.6 or later)
 * @param fallback a file that exists
 * @returns the environment for iptables
 */
export function withLockFile(env: NodeJS.ProcessEnv, fallback: string): NodeJS.ProcessEnv {
  if (env['XTABLES_LOCKFILE']) return env;
  const usable = allows(XTABLES_LOCK, constants.R_OK) || allows('/run', constants.W_OK);
  return { ...env, XTABLES_LOCKFILE: usable ? XTABLES_LOCK : fallback };
}

function allows(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}
