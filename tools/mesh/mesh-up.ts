// Istio on the one-node cluster, or the Istio of KUBECONFIG's cluster: `make mesh-up`.

import { clusterUp } from '../../test/harness/cluster/e2e-suite.ts';
import { run } from '../../test/harness/netns/processes.ts';
import { failCommand } from '../cluster/cluster-errors.ts';
import { loadImage } from '../cluster/cluster-images.ts';
import { type Layout, layoutOf } from '../cluster/cluster-layout.ts';
import { isUp } from '../cluster/cluster-lifecycle.ts';
import { readSettings } from '../cluster/cluster-settings.ts';
import { ISTIO_NAMESPACE, installIstio } from './istio-installation.ts';
import { makeMeshImages } from './mesh-images.ts';
import { findMeshPrograms } from './mesh-programs.ts';
import { readMeshSettings } from './mesh-settings.ts';

const say = (text: string) => process.stdout.write(`${text}\n`);

async function up(layout: Layout, cache: string): Promise<void> {
  const settings = readMeshSettings(process.env);
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, () => controller.abort(new Error(name)));
  const tell = process.stdout.isTTY ? say : () => undefined;
  const programs = await findMeshPrograms(cache, tell, controller.signal);
  const images = await makeMeshImages(programs, cache, tell);
  // In a process of its own, which takes the cluster down again where it is interrupted.
  if (!(await isUp(layout)) && (await clusterUp()) !== 0) throw new Error('there is no cluster to install Istio on');
  for (const [image, archive] of images) {
    tell(`loading ${image}`);
    await loadImage(layout, archive, image.slice(0, image.lastIndexOf(':')));
  }
  tell('installing Istio');
  await installIstio(layout, programs.get('istioctl') ?? '', settings);
  say(`Istio is up on cluster "${layout.name}": ${JSON.stringify(settings)}`);
}

/** KUBECONFIG names a cluster of the user's: its Istio stays as it is. */
async function useTheirs(): Promise<void> {
  const found = await run('kubectl', ['get', 'deployments', '-n', ISTIO_NAMESPACE, '-l', 'app=istiod', '-o', 'name']);
  if (!found.stdout.trim())
    throw new Error(
      `KUBECONFIG's cluster has no istiod in ${ISTIO_NAMESPACE}: install Istio there, or unset KUBECONFIG`,
    );
  say(`the Istio of KUBECONFIG's cluster is used: ${found.stdout.trim()}`);
}

try {
  const { name, cache } = readSettings(process.env);
  if (process.env['KUBECONFIG']) await useTheirs();
  else await up(layoutOf(name), cache);
} catch (error) {
  failCommand(error);
}
