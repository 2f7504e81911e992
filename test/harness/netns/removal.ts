// Names of the namespaces that this process makes, and their removal with all that runs in them: at the end of a test,
// at the exit of an interrupted run, and after a run that could not clean up.
import { spawnSync } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { run } from './processes.ts';

const PREFIX = 'idrop';
let counter = 0;
const made = new Set<string>();

/** A name that no other namespace has. It is remembered before the namespace is there: making it may be interrupted. */
export function newName(role: string): string {
  const name = `${PREFIX}-${process.pid}-${++counter}-${role}`;
  made.add(name);
  return name;
}

/** Ids of the processes that are in the namespace; none where there is no such namespace. */
export async function pidsIn(name: string): Promise<number[]> {
  return readPids((await run('ip', ['netns', 'pids', name])).stdout);
}

/** Removes a namespace and ends what runs in it: a program that was killed may have left children of its own. */
export async function remove(name: string): Promise<void> {
  kill(await pidsIn(name));
  await run('ip', ['netns', 'del', name]);
  made.delete(name);
}

/** Removes every namespace that this process made and still has, at once: nothing can be waited for in an exit handler. */
export function removeAll(): void {
  const ip = (...args: string[]) => spawnSync('ip', ['netns', ...args], { encoding: 'utf8', timeout: 5000 });
  for (const name of made) {
    kill(readPids(ip('pids', name).stdout ?? ''));
    ip('del', name);
  }
  made.clear();
}

/** Removes namespaces of earlier runs whose process is gone. */
export async function sweep(): Promise<void> {
  const names = await readdir('/run/netns').catch(() => []);
  const stale = names.filter((name) => {
    const [prefix, pid] = name.split('-');
    return prefix === PREFIX && pid !== undefined && !isAlive(Number(pid));
  });
  await Promise.all(stale.map(remove));
}

function readPids(printed: string): number[] {
  return printed
    .split('\n')
    .filter((pid) => pid !== '')
    .map(Number);
}

function kill(pids: number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended meanwhile.
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
