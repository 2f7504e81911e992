// One run at a time in a network namespace, across containers that share no file system: abstract Unix sockets
// belong to the network namespace (unix(7)), and the kernel frees one when its process ends, however it ends.
import { connect, createServer, type Server, type Socket } from 'node:net';

const NAME = '\0invalid-drop.lock';

export interface Lock {
  /** False where somebody else kept it for longer than the limit. */
  held: boolean;
  release(): void;
}

/**
 * Waits for the lock of this network namespace.
 * @param limit milliseconds to wait at most; a lock that nobody releases must not keep a pod from its rule
 * @returns the lock, or one that is not held when the limit has passed. Never throws.
 */
export async function takeLock(limit: number): Promise<Lock> {
  const deadline = Date.now() + limit;
  while (Date.now() < deadline) {
    const lock = await tryLock();
    if (lock) return lock;
    await holderGone(deadline - Date.now());
  }
  return { held: false, release: () => undefined };
}

function tryLock(): Promise<Lock | undefined> {
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
