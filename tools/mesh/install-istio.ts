// Installs Istio in a cluster, or changes the one that is there.
import { writeFile } from 'node:fs/promises';
import { must } from '../../test/harness/netns/processes.ts';
import { enterNetwork, environmentOf, kubectl } from '../cluster/enter.ts';
import type { Layout } from '../cluster/layout.ts';
import { operator } from './istio-operator.ts';
import { gatewayObjects } from './mesh-objects.ts';
import type { MeshSettings } from './mesh-settings.ts';

const INSTALL_LIMIT = 300_000;

/** Installs it with these settings and waits until all of it is Ready. What other settings had made goes. */
export async function installIstio(layout: Layout, istioctl: string, settings: MeshSettings): Promise<void> {
  const file = `${layout.files}/istio.json`;
  await writeFile(file, JSON.stringify(operator(settings, layout.cni)));
  const [program = '', ...args] = enterNetwork(layout, [istioctl, 'install', '--skip-confirmation', '-f', file]);
  // Its cache of what the API server has goes to the home directory.
  await must(program, args, { env: { ...environmentOf(layout), HOME: layout.state }, limit: INSTALL_LIMIT });
  await kubectl(layout, ['apply', '-f', '-'], { input: JSON.stringify(gatewayObjects()) });
}
