// The cgroup below which all pods of a cluster are, in each hierarchy that the machine has.
import { access, mkdir, readdir, readFile, rmdir } from 'node:fs/promises';

const ROOT = '/sys/fs/cgroup';

/** The cluster's directory in each hierarchy: one for cgroup v2, one a controller for v1. */
async function directoriesOf(name: string): Promise<string[]> {
  const unified = await exists(`${ROOT}/cgroup.controllers`);
  if (unified) return [`${ROOT}/${name}`];
  const entries = await readdir(ROOT, { withFileTypes: true });
  // Links are second names, such as cpu for cpu,cpuacct.
  return entries.filter((entry) => entry.isDirectory()).map((entry) => `${ROOT}/${entry.name}/${name}`);
}

export async function makeCgroups(name: string): Promise<void> {
  for (const directory of await directoriesOf(name)) await mkdir(directory, { recursive: true });
}

/** Directories of the cluster that are there. */
export async function findCgroups(name: string): Promise<string[]> {
  const found: string[] = [];
  for (const directory of await directoriesOf(name)) if (await exists(directory)) found.push(directory);
  return found;
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

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
