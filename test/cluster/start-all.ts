// Starts the components in their order, and waits until pods can be made.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { run } from '../kernel/processes.ts';
import { endedError, pidOf, startComponent } from './component.ts';
import { COMPONENTS, type Component } from './components.ts';
import { enterNetwork, tryKubectl } from './enter.ts';
import { errors } from './errors.ts';
import { PAUSE_IMAGE } from './files/containerd.ts';
import { writeImage } from './image.ts';
import type { Layout } from './layout.ts';
import { importImage } from './load.ts';
import { until } from './until.ts';

const READY_LIMIT = 120_000;
const RESOLVE = fileURLToPath(new URL('resolve.ts', import.meta.url));
/** What can start before the API server answers. */
const FIRST: Component[] = ['etcd', 'containerd', 'kube-apiserver'];

/**
 * @param pause path of the program that every pod's first container runs
 * @throws CodedError CLUSTER_ENDED, CLUSTER_TIMEOUT; the signal's reason where it aborts
 */
export async function startAll(layout: Layout, pause: string, signal: AbortSignal): Promise<void> {
  const start = async (components: Component[]) => {
    for (const component of components) await startComponent(layout, component);
  };
  const waitFor = async (what: string, ask: () => Promise<boolean>) => {
    const answer = async () => (await ask()) || endedIn(layout);
    if (!(await until(answer, READY_LIMIT, signal))) throw errors.CLUSTER_TIMEOUT(what, READY_LIMIT, layout.logs);
  };
  const answers = (...args: string[]) => tryKubectl(layout, args).then(({ exitCode }) => exitCode === 0);

  await start(FIRST);
  const archive = `${layout.data}/pause.tar`;
  await writeImage({ path: pause, name: 'pause' }, PAUSE_IMAGE, archive);
  await waitFor('containerd', async () => (await importImage(layout, archive, PAUSE_IMAGE)).exitCode === 0);
  await waitFor('the API server', () => answers('get', '--raw', '/readyz'));
  await start(COMPONENTS.filter((name) => !FIRST.includes(name)));
  await waitFor('the node', () => answers('wait', '--for=condition=Ready', `node/${layout.name}`, '--timeout=5s'));
  await waitFor('the default service account', () => answers('get', 'serviceaccount', 'default'));
  await waitFor('the cluster DNS', async () => {
    const [program = '', ...args] = enterNetwork(layout, [process.execPath, RESOLVE]);
    return (await run(program, args)).exitCode === 0;
  });
}

/** False where every component that was started runs. @throws CodedError CLUSTER_ENDED */
async function endedIn(layout: Layout): Promise<false> {
  for (const component of COMPONENTS) {
    const ended = existsSync(`${layout.pids}/${component}`) && (await pidOf(layout, component)) === undefined;
    if (ended) throw await endedError(layout, component);
  }
  return false;
}
