// Pushes a release into its registry: `make publish`. Images by digest and tag, the chart, signatures and attestations.
// Credentials are Docker's (DOCKER_CONFIG, `crane auth login`); SSL_CERT_FILE names the CA of a registry of one's own.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { must } from '../../test/harness/netns/processes.ts';

import { failCommand } from '../cluster/cluster-errors.ts';
import { checkSums } from './checksums.ts';
import { errors } from './release-errors.ts';
import { PLATFORMS, type ReleasedImage, type ReleaseList, readReleaseList } from './release-list.ts';
import { findReleasePrograms } from './release-programs.ts';
import { cacheFolder } from './release-settings.ts';
import { attest, makeSigner, type Signer, signReference } from './signing.ts';

const LIMIT = 900_000;

export interface PublishPrograms {
  crane: string;
  helm: string;
  cosign: string;
}

export interface PublishSettings {
  /** Folder of the release, as `make release` made it. */
  folder: string;
  programs: PublishPrograms;
  /** Private key of cosign; undefined publishes without signatures. */
  key: string | undefined;
  /** Whether the registry speaks HTTP without TLS. */
  plainHttp: boolean;
  tell: (line: string) => void;
}

/** What was pushed: full names with digest. */
export interface Published {
  images: string[];
  chart: string;
}

/**
 * Publishes a release. It may be repeated: what is in the registry already is not pushed again.
 * @throws CodedError RELEASE_NOT_MADE, RELEASE_ALTERED where a file is not the one of SHA256SUMS
 */
export async function publish({ folder, programs, key, plainHttp, tell }: PublishSettings): Promise<Published> {
  const list = await readReleaseList(folder);
  await checkSums(folder);
  const scratch = await mkdtemp(`${tmpdir()}/invalid-drop-publish-`);
  try {
    const signer = key ? await makeSigner(programs.cosign, key, `${scratch}/signing.json`, { plainHttp }) : undefined;
    if (!signer) tell('COSIGN_KEY is not set: published without signatures and attestations');
    const predicate = `${scratch}/provenance.json`;
    const statement = JSON.parse(await readFile(`${folder}/${list.provenance}`, 'utf8'));
    await writeFile(predicate, JSON.stringify(statement.predicate));
    const images: string[] = [];
    for (const image of list.images) {
      const reference = await pushImage({ folder, scratch, crane: programs.crane, plainHttp }, list, image);
      if (signer) await signImage(signer, { folder, predicate }, list, image);
      tell(reference);
      images.push(reference);
    }
    const chart = await pushChart({ folder, programs, plainHttp }, list);
    if (signer) {
      await signReference(signer, chart);
      await attest(signer, 'slsaprovenance1', predicate, chart);
    }
    tell(chart);
    return { images, chart };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** @returns NAME@DIGEST of the index */
async function pushImage(
  at: { folder: string; scratch: string; crane: string; plainHttp: boolean },
  { registry, version }: ReleaseList,
  { name, archive, digest }: ReleasedImage,
): Promise<string> {
  const layout = await mkdtemp(`${at.scratch}/layout-`);
  await must('tar', ['-xf', `${at.folder}/${archive}`, '-C', layout], { limit: LIMIT });
  const flags = at.plainHttp ? ['--insecure'] : [];
  const tagged = `${registry}/${name}:${version}`;
  await must(at.crane, ['push', ...flags, layout, tagged], { limit: LIMIT });
  await rm(layout, { recursive: true });
  const pushed = (await must(at.crane, ['digest', ...flags, tagged], { limit: LIMIT })).trim();
  if (pushed !== digest) throw errors.RELEASE_NOT_LISTED(tagged, `it has digest ${pushed}, not ${digest}`);
  return `${registry}/${name}@${digest}`;
}

/** Signs index and images; the bill of materials goes to the image of its platform, the provenance to all. */
async function signImage(
  signer: Signer,
  { folder, predicate }: { folder: string; predicate: string },
  { registry }: ReleaseList,
  { name, digest, platforms }: ReleasedImage,
): Promise<void> {
  const index = `${registry}/${name}@${digest}`;
  await signReference(signer, index);
  await attest(signer, 'slsaprovenance1', predicate, index);
  for (const platform of PLATFORMS) {
    const reference = `${registry}/${name}@${platforms[platform].digest}`;
    await attest(signer, 'slsaprovenance1', predicate, reference);
    await attest(signer, 'cyclonedx', `${folder}/${platforms[platform].sbom}`, reference);
  }
}

/** @returns NAME@DIGEST of the chart */
async function pushChart(
  { folder, programs, plainHttp }: { folder: string; programs: PublishPrograms; plainHttp: boolean },
  { registry, version, chart }: ReleaseList,
): Promise<string> {
  const place = `${registry}/charts`;
  const flags = plainHttp ? ['--plain-http'] : [];
  await must(programs.helm, ['push', ...flags, `${folder}/${chart}`, `oci://${place}`], { limit: LIMIT });
  // Tags may not have the + of a version's build metadata, and helm writes _ for it.
  const tagged = `${place}/invalid-drop:${version.replaceAll('+', '_')}`;
  const digest = await must(programs.crane, ['digest', ...(plainHttp ? ['--insecure'] : []), tagged], { limit: LIMIT });
  return `${place}/invalid-drop@${digest.trim()}`;
}

async function main(): Promise<void> {
  const { env } = process;
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const folder = env['RELEASE'] || `${root}.run/release`;
  const tell = (line: string) => void process.stdout.write(`${line}\n`);
  const list = await readReleaseList(folder);
  if (env['REGISTRY'] && env['REGISTRY'] !== list.registry)
    throw errors.RELEASE_OTHER_REGISTRY(list.registry, env['REGISTRY']);
  const key = env['COSIGN_KEY'] || undefined;
  if (env['SIGN'] === 'required' && !key) throw errors.RELEASE_UNSIGNED();
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  const programs = await findReleasePrograms(['crane', 'helm', 'cosign'], cacheFolder(env), tell, stop.signal);
  await publish({ folder, programs, key, plainHttp: env['PLAIN_HTTP'] === '1', tell });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main().catch(failCommand);
