// Finds what a cluster that is down must not have left.
import { access, readFile } from 'node:fs/promises';
import { findCgroups } from './cgroups.ts';
import type { Layout } from './layout.ts';
import { processesOf } from './processes-of.ts';

/** @returns processes, mounts, network namespace, cgroups and files, one text each */
export async function findLeftovers(layout: Layout): Promise<string[]> {
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
  const files = [layout.state, layout.netnsFile];
  const there = await Promise.all(
    files.map((file) =>
      access(file).then(
        () => [file],
        () => [],
      ),
    ),
  );
  return [
    ...(await processesOf(layout)).map((pid) => `process ${pid}`),
    ...mounts.filter((mount) => mount.includes(`${layout.state}/`) || mount.includes(` ${layout.netnsFile} `)),
    ...(await findCgroups(layout.cgroup)),
    ...there.flat(),
  ];
}
