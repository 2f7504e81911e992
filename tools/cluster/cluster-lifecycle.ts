// Brings a cluster up, and takes it down, also where only parts of it are left.

import { existsSync } from 'node:fs';
import { lstat, mkdir, mkdtemp, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { killPids, run } from '../../test/harness/netns/processes.ts';
import { waitUntil } from '../../test/harness/wait-until.ts';
import {
  type Component,
  componentsOf,
  endedComponents,
  endedError,
  launchComponent,
  pidOf,
  waitUntilServes,
} from './cluster-components.ts';
import { errors } from './cluster-errors.ts';
import { PAUSE_IMAGE, writeFiles } from './cluster-files.ts';
import { loadImage, writeImage, writeLayer } from './cluster-images.ts';
import { firstNodes, type Layout, MAX_NODES } from './cluster-layout.ts';
import { makeNode, tryKubectl } from './cluster-node.ts';
import {
  findLeftovers,
  livingPid,
  makeCgroups,
  nodesOf,
  processesOf,
  removeCgroups,
  writeRecord,
} from './cluster-processes.ts';
import { findPrograms, findRuntime } from './cluster-programs.ts';
import type { Settings } from './cluster-settings.ts';

const MAKE_TRIES = 5;

/** Whether it came up, all its components run, and the API server answers. */
export async function isUp(layout: Layout): Promise<boolean> {
  if (!(await lstat(layout.ready).catch(() => undefined))) return false;
  const ended = await Promise.all((await nodesOf(layout)).map(endedComponents));
  if (ended.flat().length > 0) return false;
  return (await tryKubectl(layout, ['get', '--raw', '/readyz'], { limit: 10_000 })).exitCode === 0;
}

/**
 * Brings the cluster up and waits until its nodes are Ready, its DNS answers and pods can be made. What is left of an
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
  if (await isUp(layout)) {
    const { length } = await nodesOf(layout);
    if (length < settings.nodes) throw errors.CLUSTER_FEWER_NODES(layout.name, length, settings.nodes);
    return false;
  }
  const programs = await findPrograms(settings, tell, signal);
  const runtime = await findRuntime(settings, tell, signal);
  signal.throwIfAborted();
  await claim(layout);
  try {
    await writeFiles(layout, settings, programs, runtime);
    for (const node of await nodesOf(layout)) {
      await makeCgroups(node.nodeCgroup);
      await makeNode(node);
    }
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

const READY_LIMIT = 120_000;
/** What can start before the API server answers. */
const FIRST: Component[] = ['etcd', 'containerd', 'kube-apiserver'];

/**
 * @param pause path of the program that every pod's first container runs
 * @throws CodedError CLUSTER_ENDED, CLUSTER_TIMEOUT; the signal's reason where it aborts
 */
export async function startAll(layout: Layout, pause: string, signal: AbortSignal): Promise<void> {
  const nodes = await nodesOf(layout);
  const launch = async (isOne: (component: Component) => boolean) => {
    for (const node of nodes)
      for (const component of componentsOf(node).filter(isOne)) await launchComponent(node, component);
  };
  const waitFor = async (what: string, ...question: string[]) => {
    const ask = async () => (await tryKubectl(layout, question)).exitCode === 0 || endedIn(nodes);
    if (!(await waitUntil(ask, READY_LIMIT, signal))) throw errors.CLUSTER_TIMEOUT(what, READY_LIMIT, layout.logs);
  };
  await launch((component) => FIRST.includes(component));
  const archive = `${layout.data}/pause.tar`;
  await writeLayer({ pause }, `${layout.data}/pause.layer`);
  await writeImage([`${layout.data}/pause.layer`], { Entrypoint: ['/pause'] }, PAUSE_IMAGE, archive);
  for (const node of nodes) await waitUntilServes(node, 'containerd', signal);
  await loadImage(layout, archive, PAUSE_IMAGE);
  await waitUntilServes(layout, 'kube-apiserver', signal);
  await launch((component) => !FIRST.includes(component));
  for (const { nodeName } of nodes)
    await waitFor(`node ${nodeName}`, 'wait', '--for=condition=Ready', `node/${nodeName}`, '--timeout=5s');
  await waitFor('the default service account', 'get', 'serviceaccount', 'default');
  await waitUntilServes(layout, 'coredns', signal);
}

/** False where every component that was started runs. @throws CodedError CLUSTER_ENDED */
async function endedIn(nodes: Layout[]): Promise<false> {
  for (const node of nodes) {
    for (const component of componentsOf(node)) {
      const record = `${node.pids}/${component}${node.suffix}`;
      if (existsSync(record) && (await pidOf(node, component)) === undefined) throw await endedError(node, component);
    }
  }
  return false;
}

const END_LIMIT = 20_000;
/** Milliseconds for the process that brings it up to take it down itself. */
const OWNER_LIMIT = 60_000;

/**
 * Ends every process of the cluster, and removes its namespaces, cgroups and files. All are killed at once: what pods
 * leave is inside the cluster's own mounts and network, and goes with them. The cluster need not be up.
 * @throws CodedError CLUSTER_LEFTOVERS
 */
export async function takeDown(layout: Layout): Promise<void> {
  await stopOwner(layout);
  await waitUntil(async () => {
    const pids = await processesOf(layout);
    killPids(pids);
    return pids.length === 0;
  }, END_LIMIT);
  for (const { netns, netnsFile } of firstNodes(layout, MAX_NODES))
    if (existsSync(netnsFile)) await run('ip', ['netns', 'del', netns]);
  const gone = await waitUntil(async () => {
    await removeCgroups(layout.cgroup);
    await rm(layout.state, { recursive: true, force: true, maxRetries: 3 }).catch(() => undefined);
    return (await findLeftovers(layout)).length === 0;
  }, END_LIMIT);
  // Where no other cluster is.
  await rmdir(dirname(layout.state)).catch(() => undefined);
  if (!gone) throw errors.CLUSTER_LEFTOVERS(layout.name, (await findLeftovers(layout)).join(', '));
}

/** Ends the process that is bringing the cluster up, which would go on otherwise. */
async function stopOwner(layout: Layout): Promise<void> {
  const owner = await livingPid(layout.owner);
  if (owner === undefined || owner === process.pid) return;
  process.kill(owner, 'SIGTERM');
  await waitUntil(async () => (await livingPid(layout.owner)) === undefined, OWNER_LIMIT);
}
