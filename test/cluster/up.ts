// Brings a cluster up.
import { lstat, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../kernel/processes.ts';
import { makeCgroups } from './cgroups.ts';
import { endedComponents, endedError, pidOf, startComponent } from './component.ts';
import { COMPONENTS, type Component } from './components.ts';
import { takeDown } from './down.ts';
import { enterNetwork, tryKubectl } from './enter.ts';
import { errors } from './errors.ts';
import { PAUSE_IMAGE } from './files/containerd.ts';
import { writeImage } from './image.ts';
import type { Layout } from './layout.ts';
import { importImage } from './load.ts';
import { makeNode } from './node.ts';
import { livingPid, writeRecord } from './process-record.ts';
import { findPrograms } from './programs.ts';
import type { Settings } from './settings.ts';
import { until } from './until.ts';
import { writeFiles } from './write-files.ts';

const READY_LIMIT = 120_000;
const RESOLVE = fileURLToPath(new URL('resolve.ts', import.meta.url));
/** What can start before the API server answers. */
const FIRST: Component[] = ['etcd', 'containerd', 'kube-apiserver'];

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
  const parent = dirname(layout.state);
  await mkdir(parent, { recursive: true, mode: 0o755 });
  // Anyone can make directories in /tmp.
  const { uid } = await lstat(parent);
  if (uid !== 0) throw errors.CLUSTER_FOREIGN(parent, uid);
  const owner = await livingPid(layout.owner);
  if (owner !== undefined) throw errors.CLUSTER_BUSY(layout.name, owner);
  await takeDown(layout);
  const own = await mkdtemp(`${parent}/.${layout.name}-`);
  await writeRecord(`${own}/owner`, process.pid);
  try {
    await rename(own, layout.state);
  } catch {
    await rm(own, { recursive: true });
    throw errors.CLUSTER_BUSY(layout.name, (await livingPid(layout.owner)) ?? 0);
  }
}

async function startAll(layout: Layout, pause: string, signal: AbortSignal): Promise<void> {
  const started: Component[] = [];
  const start = async (component: Component) => {
    signal.throwIfAborted();
    await startComponent(layout, component);
    started.push(component);
  };
  const waitFor = async (what: string, ask: () => Promise<boolean>) => {
    const answer = async () => {
      for (const component of started) {
        if ((await pidOf(layout, component)) === undefined) throw await endedError(layout, component);
      }
      return ask();
    };
    if (!(await until(answer, READY_LIMIT, signal))) throw errors.CLUSTER_TIMEOUT(what, READY_LIMIT, layout.logs);
  };
  const answers = async (...args: string[]) => (await tryKubectl(layout, args)).exitCode === 0;

  for (const component of FIRST) await start(component);
  const archive = `${layout.data}/pause.tar`;
  await writeImage({ path: pause, name: 'pause' }, PAUSE_IMAGE, archive);
  const imported = async () => (await importImage(layout, archive, PAUSE_IMAGE)).exitCode === 0;
  await waitFor('containerd', imported);
  await waitFor('the API server', () => answers('get', '--raw', '/readyz'));
  for (const component of COMPONENTS.filter((name) => !FIRST.includes(name))) await start(component);
  await waitFor('the node', () => answers('wait', '--for=condition=Ready', `node/${layout.name}`, '--timeout=5s'));
  await waitFor('the default service account', () => answers('get', 'serviceaccount', 'default'));
  await waitFor('the cluster DNS', async () => {
    const [program = '', ...args] = enterNetwork(layout, [process.execPath, RESOLVE]);
    return (await run(program, args)).exitCode === 0;
  });
}
