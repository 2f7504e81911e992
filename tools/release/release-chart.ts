// The packaged Helm chart: the chart of the tree, with the registry, the digests and the addresses of the release.
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import { must } from '../../test/harness/netns/processes.ts';
import { withAddress } from './install-files.ts';
import { SAME_TAR } from './oci-layout.ts';
import { errors } from './release-errors.ts';
import type { ReleasedImage } from './release-list.ts';

const LIMIT = 60_000;
const NAME = 'invalid-drop';

export interface ChartFacts {
  registry: string;
  version: string;
  images: Pick<ReleasedImage, 'name' | 'digest'>[];
  /** What the tree has, and what this release has: the address of the source, and of a file at a version. */
  source: { inTree: string; ofRelease: string };
  address: { inTree: string; ofRelease: string };
}

/**
 * Sets registry and digests in the text of values.yaml, so that its comments stay.
 * @throws CodedError RELEASE_PART_MISSING where it has no place for them
 */
export function chartValues(text: string, { registry, images }: Pick<ChartFacts, 'registry' | 'images'>): string {
  let values = replaced(text, /^( {2}imageRegistry: )\S+$/m, `$1${registry}`, 'global.imageRegistry');
  for (const { name, digest } of images) {
    // The digest of the image that has this repository: lines that are indented as deep follow each other.
    const pattern = new RegExp(`^(( +)repository: ${name}\\n(?:\\2\\S.*\\n)*?\\2digest: )\\S*$`, 'm');
    values = replaced(values, pattern, `$1${digest}`, `the digest of ${name}`);
  }
  return values;
}

function replaced(text: string, pattern: RegExp, by: string, what: string): string {
  if (!pattern.test(text)) throw errors.RELEASE_PART_MISSING(what, 'manifests/chart/values.yaml has no such line');
  return text.replace(pattern, by);
}

/** @returns name of the file in `output` */
export async function packageChart(
  facts: ChartFacts,
  { helm, chart, scratch, output }: { helm: string; chart: string; scratch: string; output: string },
): Promise<string> {
  if (!existsSync(`${chart}/Chart.yaml`))
    throw errors.RELEASE_PART_MISSING('the Helm chart', `${chart}/Chart.yaml has to be in the tree`);
  const work = await mkdtemp(`${scratch}/chart-`);
  const copy = `${work}/${NAME}`;
  await cp(chart, copy, { recursive: true });
  await writeFile(`${copy}/values.yaml`, chartValues(await readFile(`${copy}/values.yaml`, 'utf8'), facts));
  for (const entry of await readdir(copy, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = `${entry.parentPath}/${entry.name}`;
    const text = withAddress(await readFile(path, 'utf8'), facts.address);
    await writeFile(path, text.replaceAll(facts.source.inTree, facts.source.ofRelease));
  }
  const { version } = facts;
  const packed = `${work}/packed`;
  await mkdir(packed);
  await must(helm, ['lint', '--quiet', copy], { limit: LIMIT });
  await must(helm, ['package', copy, '--version', version, '--app-version', version, '--destination', packed], {
    limit: LIMIT,
  });
  const file = `${NAME}-${version}.tgz`;
  // helm writes the time of packaging into it, so what it packed is packed again.
  await rm(copy, { recursive: true });
  await must('tar', ['-xzf', `${packed}/${file}`, '-C', work], { limit: LIMIT });
  const tar = `${work}/chart.tar`;
  await must('tar', [...SAME_TAR, '--mode=u=rwX,go=rX', '-cf', tar, '-C', work, NAME], { limit: LIMIT });
  await writeFile(`${output}/${file}`, gzipSync(await readFile(tar), { level: 9 }));
  await rm(work, { recursive: true });
  return file;
}
