// Gives containerd an image, for there is no registry.
import { type Finished, run } from '../kernel/processes.ts';
import { errors } from './errors.ts';
import type { Layout } from './layout.ts';

const IMPORT_LIMIT = 120_000;

/**
 * Imports an OCI archive; pods then run it with imagePullPolicy Never or IfNotPresent.
 * @param image its full name with tag
 * @throws CodedError CLUSTER_IMPORT_FAILED
 */
export async function loadImage(layout: Layout, archive: string, image: string): Promise<void> {
  const { exitCode, stderr } = await importImage(layout, archive, image);
  if (exitCode !== 0) throw errors.CLUSTER_IMPORT_FAILED(archive, stderr.trim());
}

/** As `loadImage`, but returns how it ended. */
export function importImage({ containerd }: Layout, archive: string, image: string): Promise<Finished> {
  const args = ['--address', containerd, '--namespace', 'k8s.io', 'images', 'import', '--base-name', image, archive];
  return run('ctr', args, { limit: IMPORT_LIMIT });
}
