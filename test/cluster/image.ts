// An image that holds one static program, made without a builder.
import { createHash } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { must } from '../kernel/processes.ts';

const MEDIA = 'application/vnd.oci.image';
const ARCHITECTURES: Record<string, string> = { x64: 'amd64', arm64: 'arm64' };

/**
 * Writes an OCI archive (image-spec, "OCI Image Layout") whose root file system is one program.
 * @param program path of a static program; it is the entry point, at /NAME
 * @param image full name with tag
 * @param archive the file to write
 */
export async function writeImage(
  program: { path: string; name: string },
  image: string,
  archive: string,
): Promise<void> {
  // Beside the archive: whoever removes that removes what an interruption left.
  const work = await mkdtemp(`${archive}-`);
  try {
    await mkdir(`${work}/root`);
    await mkdir(`${work}/oci/blobs/sha256`, { recursive: true });
    await copyFile(program.path, `${work}/root/${program.name}`);
    await must('tar', ['--owner=0', '--group=0', '-cf', `${work}/layer`, '-C', `${work}/root`, program.name]);
    await writeLayout(`${work}/oci`, await readFile(`${work}/layer`), [`/${program.name}`], image);
    await must('tar', ['-cf', archive, '-C', `${work}/oci`, '.']);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function writeLayout(directory: string, layer: Buffer, entrypoint: string[], image: string): Promise<void> {
  const blob = async (mediaType: string, content: Buffer | string) => {
    const digest = createHash('sha256').update(content).digest('hex');
    await writeFile(`${directory}/blobs/sha256/${digest}`, content);
    return { mediaType, digest: `sha256:${digest}`, size: Buffer.byteLength(content) };
  };
  const layers = [await blob(`${MEDIA}.layer.v1.tar`, layer)];
  const config = await blob(
    `${MEDIA}.config.v1+json`,
    JSON.stringify({
      architecture: ARCHITECTURES[process.arch] ?? process.arch,
      os: 'linux',
      config: { Entrypoint: entrypoint },
      rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
    }),
  );
  const manifest = await blob(
    `${MEDIA}.manifest.v1+json`,
    JSON.stringify({ schemaVersion: 2, mediaType: `${MEDIA}.manifest.v1+json`, config, layers }),
  );
  const annotations = { 'org.opencontainers.image.ref.name': image, 'io.containerd.image.name': image };
  await writeFile(`${directory}/oci-layout`, JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  await writeFile(
    `${directory}/index.json`,
    JSON.stringify({ schemaVersion: 2, manifests: [{ ...manifest, annotations }] }),
  );
}
