// Istio on the one-node cluster, or the Istio of KUBECONFIG's cluster: `make mesh-up`.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { CodedError } from '../../lib/errors.ts';
import { run } from '../../test/harness/netns/processes.ts';
import { readSettings } from '../cluster/cluster-settings.ts';
import { isUp } from '../cluster/cluster-up.ts';
import { type Layout, layoutOf } from '../cluster/layout.ts';
import { loadImage } from '../cluster/load-image.ts';
import { installIstio } from './install-istio.ts';
import { makeMeshImages } from './mesh-images.ts';
import { ISTIO_NAMESPACE } from './mesh-objects.ts';
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
  if (!(await isUp(layout))) await startCluster();
  for (const [image, archive] of images) {
    tell(`loading ${image}`);
    await loadImage(layout, archive, image.slice(0, image.lastIndexOf(':')));
  }
  tell('installing Istio');
  await installIstio(layout, programs.get('istioctl') ?? '', settings);
  say(`Istio is up on cluster "${layout.name}": ${JSON.stringify(settings)}`);
}

/** In a process of its own, which takes it down again where it is interrupted. */
async function startCluster(): Promise<void> {
  const child = spawn(process.execPath, ['tools/cluster/cluster-command.ts', 'up'], { stdio: 'inherit' });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error('there is no cluster to install Istio on');
}

/** KUBECONFIG names somebody's own cluster: its Istio is taken as it is. */
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
  process.stderr.write(
    error instanceof CodedError ? `${error.code}: ${error.message}\n` : `${(error as Error).stack}\n`,
  );
  process.exitCode = 1;
}
