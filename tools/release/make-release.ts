// Makes everything that a release's page has, in .run/release: `make release`. docs/releasing.md describes it.
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import packageJson from '../../package.json' with { type: 'json' };
import { must } from '../../test/harness/netns/processes.ts';
import { failCommand } from '../cluster/cluster-errors.ts';
import { buildKubectl } from '../cluster/cluster-programs.ts';
import { IMAGES } from '../images/image-sources.ts';
import type { NpmKnowledge } from '../images/sbom.ts';
import { SIGNATURE, SUMS_FILE, sumFile, sumFiles, writeSums } from './checksums.ts';
import { readArchiveState } from './debian-root.ts';
import { writeInstallFiles } from './install-files.ts';
import { NODE_PACKAGES } from './node-binary.ts';
import { makeProvenance } from './provenance.ts';
import { packageChart } from './release-chart.ts';
import { makeCommandFiles } from './release-command-files.ts';
import { findCommit } from './release-commit.ts';
import { makeReleaseImages } from './release-images.ts';
import { LIST_FILE, type Platform, type ReleaseList } from './release-list.ts';
import { releaseNotes } from './release-notes.ts';
import { findReleasePrograms } from './release-programs.ts';
import { cacheFolder, readReleaseSettings } from './release-settings.ts';
import { pullTable, releaseTable } from './release-table.ts';
import { REPRODUCING_FILE, reproducingText } from './reproducing.ts';
import { makeSigner, signFile, signStatement } from './signing.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const BUILD_LIMIT = 300_000;
const PROVENANCE = 'provenance.intoto.json';
const tell = (line: string) => void process.stdout.write(`${line}\n`);

async function main(): Promise<void> {
  const began = Date.now();
  const settings = readReleaseSettings(process.env, packageJson, ROOT);
  const { registry, version, source, output, key } = settings;
  const commit = await findCommit(ROOT, settings.allowDirty);
  const notes = releaseNotes(await readFile(`${ROOT}/CHANGELOG.md`, 'utf8'), version, `${source}/blob/v${version}`);
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  const cache = cacheFolder(process.env);
  const kubectl = await buildKubectl(cache, tell, stop.signal);
  const { helm, cosign } = await findReleasePrograms(['helm', 'cosign'], cache, tell, stop.signal);
  // Beside the result: the manifests' paths have to be relative, and an unfinished release has another name.
  const unfinished = `${output}.unfinished`;
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { recursive: true });
  const scratch = await mkdtemp(`${output}.scratch-`);
  try {
    await must('npm', ['run', '--silent', 'build'], { cwd: ROOT, limit: BUILD_LIMIT });
    const archive = await readArchiveState();
    const npm = await npmKnowledge();
    const images = await makeReleaseImages(
      {
        ...{ root: ROOT, cache, scratch, output: unfinished, registry, version, source },
        ...{ commit: commit.label, created: commit.time, archive, npm, tell },
      },
      IMAGES,
    );
    const address = {
      inTree: `${packageJson.repository}/blob/v${packageJson.version}`,
      ofRelease: `${source}/blob/v${version}`,
    };
    await writeInstallFiles(
      { registry, images, address },
      { kubectl, manifests: `${ROOT}/manifests`, scratch, output: unfinished },
    );
    const chart = await packageChart(
      { registry, version, images, address, source: { inTree: packageJson.repository, ofRelease: source } },
      { helm, chart: `${ROOT}/manifests/chart`, scratch, output: unfinished },
    );
    await makeCommandFiles({ root: ROOT, cache, scratch, output: unfinished, version, source, npm });
    await writeFile(`${unfinished}/RELEASE_NOTES.md`, notes);
    const tools = await toolVersions();
    await writeFile(`${unfinished}/${REPRODUCING_FILE}`, reproducingText(archive, tools));
    const list: ReleaseList = {
      ...{ version, registry, source, commit: commit.hash, dirty: commit.dirty, images, chart, provenance: PROVENANCE },
    };
    await writeFile(`${unfinished}/${LIST_FILE}`, `${JSON.stringify(list, null, 2)}\n`);
    const statement = makeProvenance({
      ...{ list, archive, tools, nodes: NODE_PACKAGES, files: await sumFiles(unfinished) },
      lockSha256: (await sumFile(`${ROOT}/package-lock.json`)).sha256,
      debian: { amd64: await debianOf(unfinished, list, 'amd64'), arm64: await debianOf(unfinished, list, 'arm64') },
    });
    await writeFile(`${unfinished}/${PROVENANCE}`, `${JSON.stringify(statement, null, 2)}\n`);
    const files = await writeSums(unfinished);
    if (key) {
      const signer = await makeSigner(cosign, key, `${scratch}/signing.json`);
      await signFile(signer, `${unfinished}/${SUMS_FILE}`, `${unfinished}/${SUMS_FILE}${SIGNATURE}`);
      const bundle = `${unfinished}/${PROVENANCE}${SIGNATURE}`;
      await signStatement(signer, `${unfinished}/${PROVENANCE}`, `${unfinished}/${LIST_FILE}`, bundle);
    }
    await rm(output, { recursive: true, force: true });
    await rename(unfinished, output);
    tell(`\n${releaseTable(files)}\n${pullTable(images)}`);
  } finally {
    await rm(scratch, { recursive: true, force: true });
    await rm(unfinished, { recursive: true, force: true });
  }
  if (commit.dirty) tell(`WARNING: made from a working tree that differs from ${commit.hash}; the provenance says so`);
  if (!key) tell('WARNING: not signed, since COSIGN_KEY is not set');
  tell(`release ${version} for ${registry} in ${output}, ${((Date.now() - began) / 1000).toFixed(1)} s`);
}

async function npmKnowledge(): Promise<NpmKnowledge> {
  const list = ['sbom', '--package-lock-only', '--sbom-format=cyclonedx', '--loglevel=error'];
  return {
    lock: JSON.parse(await readFile(`${ROOT}/package-lock.json`, 'utf8')),
    sbom: JSON.parse(await must('npm', list, { cwd: ROOT, limit: BUILD_LIMIT })),
  };
}

/** What wrote bytes of the release, and may write others in another version. */
async function toolVersions(): Promise<Record<string, string>> {
  const first = async (command: string, ...args: string[]) =>
    (await must(command, args)).split('\n', 1)[0]?.trim() ?? 'unknown';
  return {
    node: process.version,
    npm: await first('npm', '--version'),
    mmdebstrap: await first('mmdebstrap', '--version'),
    'libdeflate-gzip': await first('libdeflate-gzip', '-V'),
    tar: await first('tar', '--version'),
    ...{ 'strip (amd64)': await first(NODE_PACKAGES.amd64.strip, '--version') },
    ...{ 'strip (arm64)': await first(NODE_PACKAGES.arm64.strip, '--version') },
  };
}

/** NAME=VERSION of Debian's packages in any of the images. */
async function debianOf(folder: string, { images }: ReleaseList, platform: Platform): Promise<string[]> {
  const found = new Set<string>();
  for (const { platforms } of images) {
    const bom = JSON.parse(await readFile(`${folder}/${platforms[platform].sbom}`, 'utf8')) as {
      components: { name: string; version: string; purl?: string }[];
    };
    for (const { name, version, purl } of bom.components)
      if (purl?.startsWith('pkg:deb/')) found.add(`${name}=${version}`);
  }
  return [...found].sort();
}

main().catch(failCommand);
