// Everything that runs in a cluster, however it came there.
import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { pidsInCgroups } from './cgroups.ts';
import type { Layout } from './layout.ts';
import { livingPid } from './process-record.ts';

/**
 * Ids of the processes that are in the cluster's network namespace or cgroups, or that it started, without this process
 * and those that wait for it.
 */
export async function processesOf(layout: Layout): Promise<number[]> {
  const [inNamespace, inCgroups, started] = [
    await inNetns(layout),
    await pidsInCgroups(layout.cgroup),
    await records(layout),
  ];
  const own = await ancestors(process.pid);
  return [...new Set([...inNamespace, ...inCgroups, ...started])].filter((pid) => !own.has(pid));
}

async function inNetns({ netnsFile }: Layout): Promise<number[]> {
  const file = await stat(netnsFile).catch(() => undefined);
  const root = await stat('/proc/self/ns/net');
  // An empty file stays at the name where the namespace is already gone.
  if (!file || file.dev !== root.dev) return [];
  const found: number[] = [];
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const link = await readlink(`/proc/${entry}/ns/net`).catch(() => '');
    if (link === `net:[${file.ino}]`) found.push(Number(entry));
  }
  return found;
}

async function records({ pids }: Layout): Promise<number[]> {
  const names = await readdir(pids).catch(() => []);
  const found = await Promise.all(names.map((name) => livingPid(`${pids}/${name}`)));
  return found.filter((pid) => pid !== undefined);
}

async function ancestors(pid: number): Promise<Set<number>> {
  const found = new Set<number>();
  for (let next = pid; next > 0 && !found.has(next); ) {
    found.add(next);
    const status = await readFile(`/proc/${next}/status`, 'utf8').catch(() => '');
    next = Number(/^PPid:\t(\d+)$/m.exec(status)?.[1] ?? 0);
  }
  return found;
}
