// Images for containerd without a registry or a builder: OCI archives made from files, and their import.
import { createHash } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { must, run } from '../../test/harness/netns/processes.ts';
import { errors } from './cluster-errors.ts';
import type { Layout } from './cluster-layout.ts';
import { nodesOf } from './cluster-processes.ts';

const MEDIA = 'application/vnd.oci.image';
const ARCHITECTURES: Record<string, string> = { x64: 'amd64', arm64: 'arm64' };
/** Some hundred megabytes are copied. */
const TAR_LIMIT = 120_000;

/** What an image's containers run unless a pod says otherwise (image-spec, "Image Configuration"). */
export interface ContainerDefaults {
  Entrypoint?: string[];
  Cmd?: string[];
  User?: string;
  WorkingDir?: string;
  Env?: string[];
}

/**
 * Packs files into a layer that belongs to root.
 * @param files path in the image, without the leading slash, to path here
 * @param layer the file to write
 */
export async function writeLayer(files: Record<string, string>, layer: string): Promise<void> {
  // Beside the result, so that what an interruption leaves is removed with it.
  const root = await mkdtemp(`${layer}-`);
  try {
    for (const [path, source] of Object.entries(files)) {
      await mkdir(dirname(`${root}/${path}`), { recursive: true });
      await copyFile(source, `${root}/${path}`);
    }
    const tops = [...new Set(Object.keys(files).map((path) => path.split('/')[0] ?? ''))];
    const owned = ['--owner=0', '--group=0', '--mtime=@0', '--sort=name'];
    await must('tar', [...owned, '-cf', layer, '-C', root, ...tops], { limit: TAR_LIMIT });
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

/**
 * Writes an OCI archive (image-spec, "OCI Image Layout").
 * @param layers uncompressed tar files, lowest first
 * @param image full name with tag
 * @param archive the file to write
 */
export async function writeImage(
  layers: string[],
  config: ContainerDefaults,
  image: string,
  archive: string,
): Promise<void> {
  const work = await mkdtemp(`${archive}-`);
  try {
    await mkdir(`${work}/blobs/sha256`, { recursive: true });
    await writeLayout(work, layers, config, image);
    await must('tar', ['-cf', archive, '-C', work, '.'], { limit: TAR_LIMIT });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function writeLayout(
  directory: string,
  files: string[],
  config: ContainerDefaults,
  image: string,
): Promise<void> {
  const blob = async (mediaType: string, content: Buffer | string) => {
    const digest = createHash('sha256').update(content).digest('hex');
    await writeFile(`${directory}/blobs/sha256/${digest}`, content);
    return { mediaType, digest: `sha256:${digest}`, size: Buffer.byteLength(content) };
  };
  const layers = [];
  for (const file of files) layers.push(await blob(`${MEDIA}.layer.v1.tar`, await readFile(file)));
  const described = await blob(
    `${MEDIA}.config.v1+json`,
    JSON.stringify({
      architecture: ARCHITECTURES[process.arch] ?? process.arch,
      os: 'linux',
      config,
      rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
    }),
  );
  const manifest = await blob(
    `${MEDIA}.manifest.v1+json`,
    JSON.stringify({ schemaVersion: 2, mediaType: `${MEDIA}.manifest.v1+json`, config: described, layers }),
  );
  const annotations = { 'org.opencontainers.image.ref.name': image, 'io.containerd.image.name': image };
  await writeFile(`${directory}/oci-layout`, JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  await writeFile(
    `${directory}/index.json`,
    JSON.stringify({ schemaVersion: 2, manifests: [{ ...manifest, annotations }] }),
  );
}

const IMPORT_LIMIT = 120_000;

/**
 * Imports an OCI archive on every node; pods then run it with imagePullPolicy Never or IfNotPresent.
 * @param image its full name, with or without tag
 * @throws CodedError CLUSTER_IMPORT_FAILED
 */
export async function loadImage(layout: Layout, archive: string, image: string): Promise<void> {
  await Promise.all((await nodesOf(layout)).map((node) => importOn(node, archive, image)));
}

async function importOn({ containerd }: Layout, archive: string, image: string): Promise<void> {
  const args = ['--address', containerd, '--namespace', 'k8s.io', 'images', 'import', '--base-name', image, archive];
  const { exitCode, stderr } = await run('ctr', args, { limit: IMPORT_LIMIT });
  if (exitCode !== 0) throw errors.CLUSTER_IMPORT_FAILED(archive, stderr.trim());
}
