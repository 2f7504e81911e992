// Changes the mesh that the tests run on.

import { readSettings } from '../../cluster/settings.ts';
import { node } from '../../e2e/harness/node.ts';
import { installIstio } from '../install.ts';
import { findMeshPrograms } from '../programs.ts';
import { type MeshSettings, readMeshSettings } from '../settings.ts';

/** Installs Istio anew with these settings; what is not named is as it is by default. */
export async function changeMesh(change: Partial<MeshSettings>): Promise<void> {
  const { cache } = readSettings(process.env);
  // They are in the cache: the mesh was made with them.
  const programs = await findMeshPrograms(cache, () => undefined, new AbortController().signal);
  await installIstio(node(), programs.get('istioctl') ?? '', { ...readMeshSettings({}), ...change });
}
