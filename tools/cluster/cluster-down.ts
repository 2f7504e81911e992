// Takes a cluster down, whatever is left of it.
import { rm, rmdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { run } from '../../test/harness/netns/processes.ts';
import { removeCgroups } from './cgroups.ts';
import { errors } from './cluster-errors.ts';
import type { Layout } from './layout.ts';
import { findLeftovers } from './leftovers.ts';
import { livingPid } from './process-record.ts';
import { processesOf } from './processes-of.ts';
import { until } from './wait-until.ts';

const END_LIMIT = 20_000;
/** It then takes its cluster down itself. */
const OWNER_LIMIT = 60_000;

/**
 * Ends every process of the cluster, and removes its namespace, cgroups and files. Nothing is asked to stop: what pods
 * leave is inside the cluster's own mounts and network, and goes with them. Also where the cluster is not up.
 * @throws CodedError CLUSTER_LEFTOVERS
 */
export async function takeDown(layout: Layout): Promise<void> {
  await stopOwner(layout);
  await until(async () => {
    const pids = await processesOf(layout);
    for (const pid of pids) kill(pid);
    return pids.length === 0;
  }, END_LIMIT);
  await run('ip', ['netns', 'del', layout.netns]);
  const gone = await until(async () => {
    await removeCgroups(layout.cgroup);
    await rm(layout.state, { recursive: true, force: true, maxRetries: 3 }).catch(() => undefined);
    return (await findLeftovers(layout)).length === 0;
  }, END_LIMIT);
  // Where no other cluster is.
  await rmdir(dirname(layout.state)).catch(() => undefined);
  if (!gone) throw errors.CLUSTER_LEFTOVERS(layout.name, (await findLeftovers(layout)).join(', '));
}

/** Whoever is bringing it up right now would go on. */
async function stopOwner(layout: Layout): Promise<void> {
  const owner = await livingPid(layout.owner);
  if (owner === undefined || owner === process.pid) return;
  process.kill(owner, 'SIGTERM');
  await until(async () => (await livingPid(layout.owner)) === undefined, OWNER_LIMIT);
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended meanwhile.
  }
}
