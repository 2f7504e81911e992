// Everything that runs in a cluster: programs that go on after this one has ended, the cgroups of pods, and what a
// cluster that is down must not have left.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, open, readdir, readFile, readlink, rmdir, stat, writeFile } from 'node:fs/promises';
import { startOf } from '../../test/harness/netns/processes.ts';
import { firstNodes, type Layout, MAX_NODES } from './cluster-layout.ts';

/** The cluster's nodes; the first where it is not up. */
export async function nodesOf(layout: Layout): Promise<Layout[]> {
  return firstNodes(layout, Number(await readFile(layout.nodes, 'utf8').catch(() => 1)));
}

/** Of every node that the cluster can have: where its files are gone, nothing says how many it had. */
const netnsFilesOf = (layout: Layout) => firstNodes(layout, MAX_NODES).map(({ netnsFile }) => netnsFile);

/**
 * Ids of the processes that are in the cluster's network namespaces or cgroups, or that it started. This process and its
 * ancestors are left out.
 */
export async function processesOf(layout: Layout): Promise<number[]> {
  const [inNamespace, inCgroups, started] = [
    await inNetns(netnsFilesOf(layout)),
    await pidsInCgroups(layout.cgroup),
    await records(layout),
  ];
  const own = await ancestors(process.pid);
  return [...new Set([...inNamespace, ...inCgroups, ...started])].filter((pid) => !own.has(pid));
}

async function inNetns(netnsFiles: string[]): Promise<number[]> {
  const files = await Promise.all(netnsFiles.map((file) => stat(file).catch(() => undefined)));
  const root = await stat('/proc/self/ns/net');
  // An empty file stays at the name where the namespace is already gone.
  const links = files.flatMap((file) => (file && file.dev === root.dev ? [`net:[${file.ino}]`] : []));
  if (links.length === 0) return [];
  const found: number[] = [];
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const link = await readlink(`/proc/${entry}/ns/net`).catch(() => '');
    if (links.includes(link)) found.push(Number(entry));
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

export interface ProcessRecord {
  pid: number;
  /** In clock ticks since the machine started. */
  started: string;
}

/** Remembers a process that has just been started, or this one. */
export async function writeRecord(file: string, pid: number): Promise<void> {
  await writeFile(file, JSON.stringify({ pid, started: (await startOf(pid)) ?? '' }));
}

/** @returns the id of the remembered process where it still runs */
export async function livingPid(file: string): Promise<number | undefined> {
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (!text) return undefined;
  const { pid, started } = JSON.parse(text) as ProcessRecord;
  return (await startOf(pid)) === started ? pid : undefined;
}

/**
 * Starts a program whose output goes to the log of that name.
 * @param command the program and its arguments
 */
export async function startDaemon(layout: Layout, name: string, command: string[]): Promise<void> {
  const log = await open(`${layout.logs}/${name}.log`, 'a');
  const [program = '', ...args] = command;
  const child = spawn(program, args, {
    detached: true,
    stdio: ['ignore', log.fd, log.fd],
    cwd: '/',
    env: { PATH: environmentPath(layout), HOME: '/root' },
  });
  await once(child, 'spawn');
  await writeRecord(`${layout.pids}/${name}`, child.pid ?? 0);
  child.unref();
  await log.close();
}

/** PATH for what runs in the cluster. */
export function environmentPath({ bin, nodeBin }: Layout): string {
  const own = [...new Set([nodeBin, bin])].join(':');
  return `${own}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`;
}

const CGROUP_ROOT = '/sys/fs/cgroup';

/** The cluster's directory in each hierarchy: one for cgroup v2, one a controller for v1. */
async function directoriesOf(name: string): Promise<string[]> {
  const unified = existsSync(`${CGROUP_ROOT}/cgroup.controllers`);
  if (unified) return [`${CGROUP_ROOT}/${name}`];
  const entries = await readdir(CGROUP_ROOT, { withFileTypes: true });
  // Links are second names, such as cpu for cpu,cpuacct.
  return entries.filter((entry) => entry.isDirectory()).map((entry) => `${CGROUP_ROOT}/${entry.name}/${name}`);
}

export async function makeCgroups(name: string): Promise<void> {
  for (const directory of await directoriesOf(name)) await mkdir(directory, { recursive: true });
}

/** Directories of the cluster that are there. */
export async function findCgroups(name: string): Promise<string[]> {
  return (await directoriesOf(name)).filter((directory) => existsSync(directory));
}

/**
 * Ids of the processes that are in the cluster's cgroups.
 * @param part only those at or below a cgroup of that name
 */
export async function pidsInCgroups(name: string, part = name): Promise<number[]> {
  const pids = new Set<number>();
  for (const directory of await findCgroups(name)) {
    const children = [directory, ...(await below(directory))];
    for (const child of children.filter((path) => path.split('/').includes(part))) {
      const text = await readFile(`${child}/cgroup.procs`, 'utf8').catch(() => '');
      for (const pid of text.split('\n')) if (Number(pid) > 0) pids.add(Number(pid));
    }
  }
  return [...pids];
}

/** Removes them, the innermost first; one that still holds a process stays. */
export async function removeCgroups(name: string): Promise<void> {
  for (const directory of await findCgroups(name)) {
    const children = await below(directory);
    for (const child of [...children.reverse(), directory]) await rmdir(child).catch(() => undefined);
  }
}

async function below(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => []);
  const paths = entries.filter((entry) => entry.isDirectory()).map((entry) => `${entry.parentPath}/${entry.name}`);
  return paths.sort((one, other) => one.split('/').length - other.split('/').length);
}

/** @returns processes, mounts, network namespaces, cgroups and files, one text each */
export async function findLeftovers(layout: Layout): Promise<string[]> {
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
  const namespaces = netnsFilesOf(layout);
  const isOurs = (mount: string) =>
    mount.includes(`${layout.state}/`) || namespaces.some((file) => mount.includes(` ${file} `));
  return [
    ...(await processesOf(layout)).map((pid) => `process ${pid}`),
    ...mounts.filter(isOurs),
    ...(await findCgroups(layout.cgroup)),
    ...[layout.state, ...namespaces].filter((file) => existsSync(file)),
  ];
}
