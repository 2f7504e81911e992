// Brings a cluster up.
import { lstat, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { makeCgroups } from './cgroups.ts';
import { takeDown } from './cluster-down.ts';
import { errors } from './cluster-errors.ts';
import { findPrograms } from './cluster-programs.ts';
import type { Settings } from './cluster-settings.ts';
import { endedComponents } from './component.ts';
import { tryKubectl } from './enter.ts';
import type { Layout } from './layout.ts';
import { makeNode } from './node-namespaces-holder.ts';
import { livingPid, writeRecord } from './process-record.ts';
import { startAll } from './start-all.ts';
import { writeFiles } from './write-files.ts';

const MAKE_TRIES = 5;

/** Whether it came up, all its components run, and the API server answers. */
export async function isUp(layout: Layout): Promise<boolean> {
  if (!(await lstat(layout.ready).catch(() => undefined)) || (await endedComponents(layout)).length > 0) return false;
  return (await tryKubectl(layout, ['get', '--raw', '/readyz'], { limit: 10_000 })).exitCode === 0;
}

/**
 * Brings the cluster up and waits until its node is Ready, its DNS answers and pods can be made. What is left of an
 * earlier one is removed first. Where it fails or the signal aborts, it is taken down.
 * @param tell is called with what takes long
 * @returns false where it was up before
 * @throws CodedError CLUSTER_*
 */
export async function bringUp(
  layout: Layout,
  settings: Settings,
  tell: (text: string) => void,
  signal: AbortSignal,
): Promise<boolean> {
  if (await isUp(layout)) return false;
  const programs = await findPrograms(settings, tell, signal);
  signal.throwIfAborted();
  await claim(layout);
  try {
    await writeFiles(layout, settings, programs);
    await makeCgroups(layout.cgroup);
    await makeNode(layout);
    await startAll(layout, programs.get('pause') ?? '', signal);
    signal.throwIfAborted();
    await writeFile(layout.ready, '');
    await rm(layout.owner);
  } catch (error) {
    await takeDown(layout);
    throw error;
  }
  return true;
}

/** Takes the state directory for this process, with a record of it in place from the first moment. */
async function claim(layout: Layout): Promise<void> {
  const owner = await livingPid(layout.owner);
  if (owner !== undefined) throw errors.CLUSTER_BUSY(layout.name, owner);
  await takeDown(layout);
  const own = await makeOwn(dirname(layout.state));
  await writeRecord(`${own}/owner`, process.pid);
  try {
    await rename(own, layout.state);
  } catch {
    await rm(own, { recursive: true });
    throw errors.CLUSTER_BUSY(layout.name, (await livingPid(layout.owner)) ?? 0);
  }
}

async function makeOwn(parent: string): Promise<string> {
  for (let tries = 1; ; tries++) {
    await mkdir(parent, { recursive: true, mode: 0o755 });
    // Anyone can make directories in /tmp.
    const { uid } = await lstat(parent);
    if (uid !== 0) throw errors.CLUSTER_FOREIGN(parent, uid);
    try {
      return await mkdtemp(`${parent}/.new-`);
    } catch (error) {
      // Another cluster, going down, has just removed the empty directory.
      if (tries === MAKE_TRIES) throw error;
    }
  }
}
