// Locks: one run of ours at a time in a network namespace, and the file that iptables-legacy locks.
import { constants, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { monotonicNow } from '../clock.ts';
import { allows } from '../file-access.ts';

/**
 * Containers of a pod share no file system, but abstract Unix sockets belong to the network namespace (unix(7)), and
 * the kernel frees one when its process ends, however it ends.
 */
const NAME = '\0invalid-drop.lock';

/** What a holder of ours says to each that waits. Every process of the pod can hold the name. */
const GREETING = 'invalid-drop\n';
/**
 * Milliseconds for which a holder that does not greet is waited for. One of ours that evaluates a ruleset greets late where
 * many start at once on a slow processor: taken for a stranger, it would be joined by others, and the rule stand there twice.
 */
const STRANGER_LIMIT = 10_000;
/** Milliseconds between tries, at first and at most: a holder may close each connection at once. */
const [SHORT_PAUSE, LONG_PAUSE] = [10, 200];

export interface NamespaceLock {
  /** False where another process kept it for too long. */
  held: boolean;
  /** Who keeps it, in words; '' where it is held. */
  holder: string;
  release(): void;
}

/**
 * Waits for the lock of this network namespace.
 * @param limit milliseconds to wait at most for another run of ours: a lock that is never released must not keep a pod
 *   from its rule
 * @param strangerLimit milliseconds to wait at most for a holder that is none of ours
 * @returns the lock, or one that is not held. Never throws.
 */
export async function takeNamespaceLock(limit: number, strangerLimit = STRANGER_LIMIT): Promise<NamespaceLock> {
  const deadline = monotonicNow() + limit;
  let strangerUntil = Number.POSITIVE_INFINITY;
  let isStranger = false;
  for (let pause = SHORT_PAUSE; ; pause = Math.min(pause * 2, LONG_PAUSE)) {
    const lock = await tryLock();
    if (lock) return lock;
    const now = monotonicNow();
    const left = Math.min(deadline, strangerUntil) - now;
    if (left <= 0) break;
    isStranger = !(await waitForHolder(left, strangerLimit));
    strangerUntil = isStranger ? Math.min(strangerUntil, now + strangerLimit) : Number.POSITIVE_INFINITY;
    await wait(Math.min(pause, left));
  }
  return { held: false, holder: describeHolder(isStranger), release: () => undefined };
}

function tryLock(): Promise<NamespaceLock | undefined> {
  return new Promise((resolve) => {
    const waiting = new Set<Socket>();
    const server: Server = createServer((socket) => {
      waiting.add(socket.on('error', () => undefined));
      socket.write(GREETING);
    });
    const release = () => {
      server.close();
      for (const socket of waiting) socket.destroy();
    };
    server.once('error', () => resolve(undefined));
    server.listen({ path: NAME }, () => resolve({ held: true, holder: '', release }));
  });
}

/**
 * Waits until the holder's end closes: when it releases the lock or dies.
 * @returns whether it has greeted as a run of ours does
 */
function waitForHolder(limit: number, strangerLimit: number): Promise<boolean> {
  return new Promise((resolve) => {
    let greeting = '';
    const socket = connect({ path: NAME });
    const isOurs = () => greeting === GREETING;
    const patience = setTimeout(() => !isOurs() && socket.destroy(), Math.min(strangerLimit, limit));
    const timer = setTimeout(() => socket.destroy(), limit);
    socket.setEncoding('utf8').on('data', (text) => {
      greeting += text;
      if (!GREETING.startsWith(greeting)) socket.destroy();
    });
    socket.on('error', () => undefined);
    socket.once('close', () => {
      clearTimeout(patience);
      clearTimeout(timer);
      resolve(isOurs());
    });
  });
}

/** Its process is visible where the pod's containers share their processes. */
function describeHolder(isStranger: boolean): string {
  const who = isStranger ? 'another program' : 'another run of invalid-drop';
  try {
    // proc_net_unix(5): the seventh column is the inode, then follows the name, with an @ for its first byte. Connections
    // that were accepted have the name too.
    const lines = readFileSync('/proc/net/unix', 'utf8').split('\n');
    const named = lines.filter((line) => line.endsWith(` @${NAME.slice(1)}`));
    const links = new Set(named.map((line) => `socket:[${line.trim().split(/\s+/)[6]}]`));
    const pids = readdirSync('/proc').filter((entry) => /^\d+$/.test(entry));
    const pid = pids.find((entry) => linksOf(entry).some((link) => links.has(link)));
    if (pid === undefined) return who;
    return `${who} (${readFileSync(`/proc/${pid}/comm`, 'utf8').trim()}, pid ${pid})`;
  } catch {
    return who;
  }
}

/** What the files of a process are; none where it may not be seen. Files and processes may be gone meanwhile. */
function linksOf(pid: string): string[] {
  const folder = `/proc/${pid}/fd`;
  return orNothing(() => readdirSync(folder)).flatMap((fd) => orNothing(() => [readlinkSync(`${folder}/${fd}`)]));
}

function orNothing(read: () => string[]): string[] {
  try {
    return read();
  } catch {
    return [];
  }
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
