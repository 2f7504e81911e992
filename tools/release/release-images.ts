// The images of a release: for each architecture the layers of its Containerfile, assembled from Debian's packages, Node
// and the bundles; nothing is run in them. The same commit and packages make the same digests.
import { chmod, copyFile, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import type { IMAGES } from '../images/image-sources.ts';
import { type Bom, debianVersionOf, type ImageContents, makeSbom, type NpmKnowledge } from '../images/sbom.ts';
import { type ImageRecipe, readContainerfile } from './containerfile.ts';
import { type ArchiveState, makeDebianRoot, makeImageRoot } from './debian-root.ts';
import { fetchNode, NODE_PACKAGES } from './node-binary.ts';
import {
  type ImageDocuments,
  imageDocuments,
  imageIndex,
  type PackedLayer,
  packLayer,
  writeArchive,
} from './oci-layout.ts';
import { errors } from './release-errors.ts';
import { PLATFORMS, type Platform, type ReleasedImage } from './release-list.ts';

export interface ImageInputs {
  /** Of the repository, with the bundles in dist/. */
  root: string;
  cache: string;
  /** A folder for the work. */
  scratch: string;
  /** Where the release is written. */
  output: string;
  registry: string;
  version: string;
  source: string;
  commit: string;
  /** Time of the commit, as RFC 3339 has it. */
  created: string;
  archive: ArchiveState;
  npm: NpmKnowledge;
  tell: (line: string) => void;
}

/** What an image of one architecture is made of. */
interface AssembledImage {
  recipe: ImageRecipe;
  layers: PackedLayer[];
  documents: ImageDocuments;
  contents: ImageContents;
}

/** Writes archive and bills of materials of the images. @returns them, and the bills of their contents */
export async function makeReleaseImages(
  inputs: ImageInputs,
  names: readonly (typeof IMAGES)[number][],
): Promise<ReleasedImage[]> {
  const recipes = new Map<string, ImageRecipe>();
  for (const name of names) {
    const file = `${name}/Containerfile`;
    const args = { VERSION: inputs.version, REVISION: inputs.commit, SOURCE: inputs.source };
    recipes.set(name, readContainerfile(await readFile(`${inputs.root}/${file}`, 'utf8'), args, file));
  }
  const packages = [...recipes.values()].flatMap((recipe) =>
    recipe.packages.flatMap((argument) => argument.replace(/[:/].*/, '') || []),
  );
  const stages = await stagesOf(inputs, packages);
  for (const folder of ['images', 'sbom']) await mkdir(`${inputs.output}/${folder}`, { recursive: true });
  const images: ReleasedImage[] = [];
  for (const [name, recipe] of recipes) images.push(await makeImage(inputs, name, recipe, stages));
  return images;
}

interface Stages {
  debian: Record<Platform, string>;
  /** A folder with the file that the Containerfile's stage `node` makes. */
  node: Record<Platform, string>;
}

async function stagesOf({ cache, scratch, archive, tell }: ImageInputs, packages: string[]): Promise<Stages> {
  const stages: Stages = { debian: { amd64: '', arm64: '' }, node: { amd64: '', arm64: '' } };
  for (const platform of PLATFORMS) {
    tell(`Debian and Node for ${platform}`);
    stages.debian[platform] = await makeDebianRoot(cache, archive, platform, packages);
    const folder = `${scratch}/node-${platform}`;
    await mkdir(`${folder}/usr/local/bin`, { recursive: true });
    await copyFile((await fetchNode(cache, platform)).stripped, `${folder}/usr/local/bin/node-stripped`);
    stages.node[platform] = folder;
  }
  return stages;
}

async function makeImage(
  inputs: ImageInputs,
  name: string,
  recipe: ImageRecipe,
  stages: Stages,
): Promise<ReleasedImage> {
  const { output, version, registry, npm, tell } = inputs;
  const assembled = {
    amd64: await assemble(inputs, name, recipe, stages, 'amd64'),
    arm64: await assemble(inputs, name, recipe, stages, 'arm64'),
  };
  const documents = { amd64: assembled.amd64.documents, arm64: assembled.arm64.documents };
  const { index, digest } = imageIndex(documents, recipe.labels);
  const archive = `images/${name}.oci.tar`;
  await writeArchive(`${output}/${archive}`, version, index, Object.values(assembled));
  const platforms = {} as ReleasedImage['platforms'];
  for (const platform of PLATFORMS) {
    const { documents, contents } = assembled[platform];
    const sbom = `sbom/${name}-${platform}.cdx.json`;
    const bom = bomOf({ registry, name, version, platform, digest: documents.digest }, contents, npm);
    await writeFile(`${output}/${sbom}`, `${JSON.stringify(bom, null, 2)}\n`);
    platforms[platform] = { digest: documents.digest, bytes: documents.bytes, sbom };
  }
  tell(`${name} ${digest}`);
  return { name, archive, digest, platforms };
}

interface NamedImage {
  registry: string;
  name: string;
  version: string;
  platform: Platform;
  digest: string;
}

/** The bill says in its purl which image it belongs to (purl-spec, type oci). */
function bomOf(image: NamedImage, contents: ImageContents, npm: NpmKnowledge): Bom {
  const { registry, name, version, platform, digest } = image;
  const purl = `pkg:oci/${name}@${encodeURIComponent(digest)}?arch=${platform}&repository_url=${encodeURIComponent(`${registry}/${name}`)}&tag=${version}`;
  return makeSbom({ name: `${registry}/${name}`, version, purl }, contents, npm);
}

async function assemble(
  { root, cache, scratch, created }: ImageInputs,
  name: string,
  recipe: ImageRecipe,
  { debian, node }: Stages,
  platform: Platform,
): Promise<AssembledImage> {
  const work = await mkdtemp(`${scratch}/${name}-${platform}-`);
  const debianRoot = `${work}/root`;
  await makeImageRoot(debian[platform], recipe.packages, `${debianRoot}/root-of-image`);
  const places: Record<string, string> = { node: node[platform], root: debianRoot, build: `${work}/build` };
  await mkdir(`${work}/build`);
  await cp(`${root}/dist`, `${work}/build/src/dist`, { recursive: true });
  await copyFile(`${root}/LICENSE`, `${work}/build/src/LICENSE`);
  const layers: PackedLayer[] = [];
  for (const [number, layer] of recipe.layers.entries()) {
    const place = places[layer.stage];
    if (!place) throw errors.RELEASE_CONTAINERFILE(name, `--from=${layer.stage}`, 'that stage is not known here');
    // A whole root is packed where it is.
    const whole = layer.target === '/' ? layer.sources[0] : undefined;
    const folder = whole ? `${place}${whole}` : `${work}/layer-${number}`;
    if (!whole) for (const source of layer.sources) await copyTo(place, source, folder, layer.target);
    const createdBy = `COPY --from=${layer.stage} ${layer.sources.join(' ')} ${layer.target}`;
    layers.push(await packLayer(folder, scratch, cache, createdBy));
  }
  const documents = imageDocuments(recipe, layers, { platform, created });
  const imageRoot = `${debianRoot}/root-of-image`;
  const contents: ImageContents = {
    dpkgStatus: await readFile(`${imageRoot}/var/lib/dpkg/status`, 'utf8'),
    debianVersion: debianVersionOf(await readFile(`${imageRoot}/usr/lib/os-release`, 'utf8')),
    nodeVersion: NODE_PACKAGES[platform].version,
    bundledPackages: JSON.parse(await readFile(`${root}/dist/${name}/bundled-packages.json`, 'utf8')),
  };
  await rm(work, { recursive: true });
  return { recipe, layers, documents, contents };
}

/** COPY of files, of which the last part of the name may have a `*`. */
async function copyTo(stage: string, source: string, folder: string, target: string): Promise<void> {
  const wanted = new RegExp(`^${basename(source).replaceAll('.', '\\.').replaceAll('*', '.*')}$`);
  const directory = `${stage}${dirname(source)}`;
  const found = (await readdir(directory)).filter((entry) => wanted.test(entry));
  if (found.length === 0) throw errors.RELEASE_PART_MISSING(`${directory}/${basename(source)}`, 'run npm run build');
  for (const entry of found) {
    const to = `${folder}${target}${target.endsWith('/') ? entry : ''}`;
    await mkdir(dirname(to), { recursive: true });
    await copyFile(`${directory}/${entry}`, to);
    // Whatever the umask is.
    await chmod(to, (await stat(to)).mode & 0o100 ? 0o755 : 0o644);
  }
}
