// An image for several architectures as an archive of an OCI layout (image-spec, "OCI Image Layout"): the same digests for
// the same layers, whenever and wherever it is made.
import { createHash } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { must } from '../../test/harness/netns/processes.ts';
import { sumFile } from './checksums.ts';
import type { ImageRecipe } from './containerfile.ts';
import { PLATFORMS, type Platform } from './release-list.ts';

const MEDIA = 'application/vnd.oci.image';
const LIMIT = 600_000;

/** A compressed layer in a file. */
export interface PackedLayer {
  file: string;
  /** Digest of the file, `sha256:...`. */
  digest: string;
  bytes: number;
  /** Digest of what is compressed in it. */
  diffId: string;
  /** What made it, for the image's history. */
  createdBy: string;
}

/** What tar needs for the same bytes from the same files, whoever owns them and whenever they were made. */
export const SAME_TAR = [
  ...['--format=gnu', '--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner'],
  // Of what is linked twice, both are written as files: which of them is first may differ.
  ...['--hard-dereference'],
];

/**
 * Packs a folder as a layer.
 * @param cache what is compressed is kept here, by its digest: the compression takes most of the time of a release
 */
export async function packLayer(
  folder: string,
  scratch: string,
  cache: string,
  createdBy: string,
): Promise<PackedLayer> {
  const tar = `${await mkdtemp(`${scratch}/layer-`)}/layer.tar`;
  // By their names: the folder itself would be an entry too.
  await must('tar', [...SAME_TAR, '-cf', tar, '-C', folder, ...(await readdir(folder)).sort()], { limit: LIMIT });
  const diff = (await sumFile(tar)).sha256;
  const version = (await must('libdeflate-gzip', ['-V'])).match(/ v([\w.]+)/)?.[1] ?? 'unknown';
  const file = `${cache}/layers/${diff}-libdeflate-${version}.tar.gz`;
  if (!(await stat(file).catch(() => undefined))) {
    await mkdir(`${cache}/layers`, { recursive: true });
    // Level 12 is 4 % smaller than gzip -9; any gunzip reads it. No name and no time are in its header.
    await must('libdeflate-gzip', ['-12', '-k', tar], { limit: LIMIT });
    await must('mv', [`${tar}.gz`, file]);
  }
  await rm(tar);
  const { bytes, sha256 } = await sumFile(file);
  return { file, digest: `sha256:${sha256}`, bytes, diffId: `sha256:${diff}`, createdBy };
}

interface Described {
  mediaType: string;
  digest: string;
  size: number;
}

const described = (kind: string, content: string): Described => ({
  mediaType: `${MEDIA}.${kind}+json`,
  digest: `sha256:${createHash('sha256').update(content).digest('hex')}`,
  size: Buffer.byteLength(content),
});

export interface ImageDocuments {
  config: string;
  manifest: string;
  /** Digest of the manifest. */
  digest: string;
  /** Bytes that a node pulls. */
  bytes: number;
}

/** Configuration and manifest of one architecture (image-spec, "Image Configuration" and "Image Manifest"). */
export function imageDocuments(
  { env, user, entrypoint, labels }: ImageRecipe,
  layers: PackedLayer[],
  { platform, created }: { platform: Platform; created: string },
): ImageDocuments {
  const config = JSON.stringify({
    created,
    architecture: platform,
    os: 'linux',
    config: { User: user, Env: env, Entrypoint: entrypoint, Labels: labels },
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    history: layers.map(({ createdBy }) => ({ created, created_by: createdBy })),
  });
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: `${MEDIA}.manifest.v1+json`,
    config: described('config.v1', config),
    layers: layers.map(({ digest, bytes }) => ({ mediaType: `${MEDIA}.layer.v1.tar+gzip`, digest, size: bytes })),
  });
  const { digest, size } = described('manifest.v1', manifest);
  const pulled = size + Buffer.byteLength(config) + layers.reduce((sum, { bytes }) => sum + bytes, 0);
  return { config, manifest, digest, bytes: pulled };
}

/** The index of all architectures (image-spec, "Image Index"), with its digest. */
export function imageIndex(
  documents: Record<Platform, ImageDocuments>,
  labels: Record<string, string>,
): { index: string; digest: string } {
  const index = JSON.stringify({
    schemaVersion: 2,
    mediaType: `${MEDIA}.index.v1+json`,
    manifests: PLATFORMS.map((platform) => ({
      ...described('manifest.v1', documents[platform].manifest),
      platform: { architecture: platform, os: 'linux' },
    })),
    // The labels are annotations too: registries show those of the index.
    annotations: labels,
  });
  return { index, digest: described('index.v1', index).digest };
}

/** Writes the archive. @param tag the name of the index in it, without a registry, so that all registries get the same */
export async function writeArchive(
  file: string,
  tag: string,
  index: string,
  images: { documents: ImageDocuments; layers: PackedLayer[] }[],
): Promise<void> {
  const work = await mkdtemp(`${file}-`);
  try {
    const blobs = `${work}/blobs/sha256`;
    await mkdir(blobs, { recursive: true });
    const write = async (content: string) =>
      writeFile(`${blobs}/${createHash('sha256').update(content).digest('hex')}`, content);
    await write(index);
    for (const { documents, layers } of images) {
      await write(documents.config);
      await write(documents.manifest);
      for (const { file: layer, digest } of layers) await copyFile(layer, `${blobs}/${digest.slice('sha256:'.length)}`);
    }
    const annotations = { 'org.opencontainers.image.ref.name': tag };
    await writeFile(`${work}/oci-layout`, JSON.stringify({ imageLayoutVersion: '1.0.0' }));
    await writeFile(
      `${work}/index.json`,
      JSON.stringify({ schemaVersion: 2, manifests: [{ ...described('index.v1', index), annotations }] }),
    );
    await must(
      'tar',
      [...SAME_TAR, '--mode=u=rwX,go=rX', '-cf', file, '-C', work, 'blobs', 'index.json', 'oci-layout'],
      {
        limit: LIMIT,
      },
    );
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
