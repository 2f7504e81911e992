// Gives containerd an image, for there is no registry.
import { type Finished, run } from '../kernel/processes.ts';
import type { Layout } from './layout.ts';

const IMPORT_LIMIT = 120_000;

/**
 * Imports an OCI archive; pods then run it with imagePullPolicy Never or IfNotPresent.
 * @param image its full name with tag
 * @returns how ctr ended
 */
export function importImage({ containerd }: Layout, archive: string, image: string): Promise<Finished> {
  const args = ['--address', containerd, '--namespace', 'k8s.io', 'images', 'import', '--base-name', image, archive];
  return run('ctr', args, { limit: IMPORT_LIMIT });
}
