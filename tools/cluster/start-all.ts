// Starts the components in their order, and waits until pods can be made.
import { existsSync } from 'node:fs';
import { errors } from './cluster-errors.ts';
import { endedError, launchComponent, pidOf, waitUntilServes } from './component.ts';
import { COMPONENTS, type Component } from './components.ts';
import { tryKubectl } from './enter.ts';
import { PAUSE_IMAGE } from './files/containerd.ts';
import type { Layout } from './layout.ts';
import { loadImage } from './load-image.ts';
import { writeImage, writeLayer } from './scratch-image.ts';
import { until } from './wait-until.ts';

const READY_LIMIT = 120_000;
/** What can start before the API server answers. */
const FIRST: Component[] = ['etcd', 'containerd', 'kube-apiserver'];

/**
 * @param pause path of the program that every pod's first container runs
 * @throws CodedError CLUSTER_ENDED, CLUSTER_TIMEOUT; the signal's reason where it aborts
 */
export async function startAll(layout: Layout, pause: string, signal: AbortSignal): Promise<void> {
  const launch = async (components: Component[]) => {
    for (const component of components) await launchComponent(layout, component);
  };
  const waitFor = async (what: string, ...question: string[]) => {
    const ask = async () => (await tryKubectl(layout, question)).exitCode === 0 || endedIn(layout);
    if (!(await until(ask, READY_LIMIT, signal))) throw errors.CLUSTER_TIMEOUT(what, READY_LIMIT, layout.logs);
  };
  await launch(FIRST);
  const archive = `${layout.data}/pause.tar`;
  await writeLayer({ pause }, `${layout.data}/pause.layer`);
  await writeImage([`${layout.data}/pause.layer`], { Entrypoint: ['/pause'] }, PAUSE_IMAGE, archive);
  await waitUntilServes(layout, 'containerd', signal);
  await loadImage(layout, archive, PAUSE_IMAGE);
  await waitUntilServes(layout, 'kube-apiserver', signal);
  await launch(COMPONENTS.filter((name) => !FIRST.includes(name)));
  await waitFor('the node', 'wait', '--for=condition=Ready', `node/${layout.name}`, '--timeout=5s');
  await waitFor('the default service account', 'get', 'serviceaccount', 'default');
  await waitUntilServes(layout, 'coredns', signal);
}

/** False where every component that was started runs. @throws CodedError CLUSTER_ENDED */
async function endedIn(layout: Layout): Promise<false> {
  for (const component of COMPONENTS) {
    const ended = existsSync(`${layout.pids}/${component}`) && (await pidOf(layout, component)) === undefined;
    if (ended) throw await endedError(layout, component);
  }
  return false;
}
