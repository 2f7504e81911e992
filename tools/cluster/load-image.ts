// Gives containerd an image, for there is no registry.
import { run } from '../../test/harness/netns/processes.ts';
import { errors } from './cluster-errors.ts';
import type { Layout } from './layout.ts';

const IMPORT_LIMIT = 120_000;

/**
 * Imports an OCI archive; pods then run it with imagePullPolicy Never or IfNotPresent.
 * @param image its full name, with or without tag
 * @throws CodedError CLUSTER_IMPORT_FAILED
 */
export async function loadImage({ containerd }: Layout, archive: string, image: string): Promise<void> {
  const args = ['--address', containerd, '--namespace', 'k8s.io', 'images', 'import', '--base-name', image, archive];
  const { exitCode, stderr } = await run('ctr', args, { limit: IMPORT_LIMIT });
  if (exitCode !== 0) throw errors.CLUSTER_IMPORT_FAILED(archive, stderr.trim());
}
