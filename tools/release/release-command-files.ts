// The operator's command in a release: the npm package, self-contained programs for Linux, and a bill of materials each.
import { existsSync } from 'node:fs';
import { copyFile, cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { must } from '../../test/harness/netns/processes.ts';
import { makeProgramSbom, type NpmKnowledge } from '../images/sbom.ts';
import { sumFile } from './checksums.ts';
import { type KrewArchive, krewManifest } from './krew.ts';
import { fetchNode, NODE_PACKAGES } from './node-binary.ts';
import { SAME_TAR } from './oci-layout.ts';
import { errors } from './release-errors.ts';
import { PLATFORMS } from './release-list.ts';
import { makeStandalone } from './standalone.ts';

const LIMIT = 120_000;
/** As kubectl finds it. */
const PROGRAM = 'kubectl-invalid_drop';
const PACKAGE = 'kubectl-invalid-drop';

export interface CommandInputs {
  /** Of the repository, with the bundle in dist/cli. */
  root: string;
  cache: string;
  scratch: string;
  output: string;
  version: string;
  /** Address of the source, whose releases have the files. */
  source: string;
  npm: NpmKnowledge;
}

export async function makeCommandFiles({
  root,
  cache,
  scratch,
  output,
  version,
  source,
  npm,
}: CommandInputs): Promise<void> {
  const bundle = `${root}/dist/cli`;
  if (!existsSync(`${bundle}/package.json`))
    throw errors.RELEASE_PART_MISSING("the operator's command", `npm run build has to make ${bundle}`);
  const work = await mkdtemp(`${scratch}/cli-`);
  await cp(bundle, `${work}/package`, { recursive: true });
  const description = JSON.parse(await readFile(`${bundle}/package.json`, 'utf8'));
  await writeFile(`${work}/package/package.json`, `${JSON.stringify({ ...description, version }, null, 2)}\n`);
  // npm writes no times and no owners of this machine.
  const packed = await must('npm', ['pack', '--silent', `--pack-destination=${work}`], {
    cwd: `${work}/package`,
    limit: LIMIT,
  });
  await rename(`${work}/${packed.trim()}`, `${output}/${PACKAGE}-${version}.tgz`);
  const bundledPackages = JSON.parse(await readFile(`${bundle}/bundled-packages.json`, 'utf8')) as string[];
  const writeBom = (file: string, program: { name: string; purl?: string }, nodeVersion: string | undefined) =>
    writeFile(
      `${output}/sbom/${file}.cdx.json`,
      `${JSON.stringify(makeProgramSbom({ version, ...program }, { nodeVersion, bundledPackages }, npm), null, 2)}\n`,
    );
  await writeBom(PACKAGE, { name: PACKAGE, purl: `pkg:npm/${PACKAGE}@${version}` }, undefined);
  const archives: KrewArchive[] = [];
  for (const platform of PLATFORMS) {
    const file = `${PROGRAM}-linux-${platform}`;
    // The Node of the images: pinned, and without its symbols.
    await makeStandalone(platform, `${output}/${file}`, (await fetchNode(cache, platform)).stripped);
    await packProgram(`${output}/${file}`, root, work);
    const { sha256 } = await sumFile(`${output}/${file}.tar.gz`);
    archives.push({ arch: platform, uri: `${source}/releases/download/v${version}/${file}.tar.gz`, sha256 });
    await writeBom(file, { name: file }, NODE_PACKAGES[platform].version);
  }
  await writeFile(`${output}/invalid-drop.krew.yaml`, krewManifest(version, source, archives));
  await rm(work, { recursive: true });
}

/** The program by its own name, and the licence, as a .tar.gz beside it: what krew installs, and a third of the size. */
async function packProgram(file: string, root: string, work: string): Promise<void> {
  const folder = `${work}/packed`;
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder);
  await copyFile(file, `${folder}/${PROGRAM}`);
  await copyFile(`${root}/LICENSE`, `${folder}/LICENSE`);
  const tar = `${file}.tar`;
  await must('tar', [...SAME_TAR, '--mode=u=rwX,go=rX', '-cf', tar, '-C', folder, 'LICENSE', PROGRAM], {
    limit: LIMIT,
  });
  await must('gzip', ['-9', '--no-name', tar], { limit: LIMIT });
}
