// Changes the mesh that the tests run on.

import { readSettings } from '../../../tools/cluster/cluster-settings.ts';
import { installIstio } from '../../../tools/mesh/istio-installation.ts';
import { findMeshPrograms } from '../../../tools/mesh/mesh-programs.ts';
import { type MeshSettings, readMeshSettings } from '../../../tools/mesh/mesh-settings.ts';
import { node } from '../cluster/node-side.ts';

/** Installs Istio anew with these settings; what is not named is as it is by default. */
export async function changeMesh(change: Partial<MeshSettings>): Promise<void> {
  const { cache } = readSettings(process.env);
  // They are in the cache: the mesh was made with them.
  const programs = await findMeshPrograms(cache, () => undefined, new AbortController().signal);
  await installIstio(node(), programs.get('istioctl') ?? '', { ...readMeshSettings({}), ...change });
}
