// Reads an OCI archive: its configuration, and its root file system as a container would see it.
import { mkdir, readFile, rm } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { must } from '../../test/harness/netns/processes.ts';

/** Milliseconds for some hundred megabytes. */
const UNPACK_LIMIT = 300_000;

interface Descriptor {
  digest: string;
  size: number;
}

/** The configuration of an image, as the OCI image specification has it. */
export interface ImageConfig {
  architecture: string;
  os: string;
  config: { User?: string; Env?: string[]; Entrypoint?: string[]; Cmd?: string[]; Labels?: Record<string, string> };
}

/** Unpacks the archive's only image to `folder`/root, which must not exist. */
export async function unpack(archive: string, folder: string): Promise<{ root: string; config: ImageConfig }> {
  const [layout, root] = [`${folder}/layout`, `${folder}/root`];
  for (const path of [layout, root]) await mkdir(path, { recursive: true });
  await must('tar', ['-xf', archive, '-C', layout], { limit: UNPACK_LIMIT });
  const blob = (digest: string) => `${layout}/blobs/${digest.replace(':', '/')}`;
  const read = async (path: string) => JSON.parse(await readFile(path, 'utf8'));
  const index = (await read(`${layout}/index.json`)) as { manifests: Descriptor[] };
  const [first] = index.manifests;
  if (!first) throw new Error(`${archive} holds no image`);
  const manifest = (await read(blob(first.digest))) as { config: Descriptor; layers: Descriptor[] };
  for (const { digest } of manifest.layers) {
    await must('tar', ['-xf', blob(digest), '-C', root], { limit: UNPACK_LIMIT });
    await removeWhiteouts(root);
  }
  const config = (await read(blob(manifest.config.digest))) as ImageConfig;
  await rm(layout, { recursive: true });
  return { root, config };
}

/** A layer deletes `name` by a file `.wh.name`. */
async function removeWhiteouts(root: string): Promise<void> {
  for (const path of await findIn(root, '-name', '.wh.*')) {
    const victim = `${dirname(path)}/${basename(path).slice('.wh.'.length)}`;
    for (const gone of [victim, path]) await rm(gone, { recursive: true, force: true });
  }
}

/**
 * Paths in a root file system, by find(1). readdir of Node follows links to folders, and those of a root, such as /var/run,
 * lead to the machine's own.
 * @param tests of find
 */
export async function findIn(root: string, ...tests: string[]): Promise<string[]> {
  const found = await must('find', [root, ...tests, '-print0'], { limit: UNPACK_LIMIT });
  return found.split('\0').filter((path) => path !== '');
}
