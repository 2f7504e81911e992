// Base images made on this machine, for where no registry answers: Debian by mmdebstrap, and Node on top of it.
import { chmod, copyFile, mkdir, writeFile } from 'node:fs/promises';
import { folderOnce, keyOf } from '../../test/harness/cache-folder.ts';
import { must } from '../../test/harness/netns/processes.ts';
import { BUILD_LIMIT, type Builder, buildArgs, existsArgs, installPackages, succeeds } from './image-builder.ts';

const MIRROR = 'http://deb.debian.org/debian';
/** As Debian's slim images: no documentation but licences, no translations. */
const EXCLUDED = ['doc', 'man', 'locale', 'info', 'groff', 'lintian', 'linda'];
const MMDEBSTRAP = [
  '--variant=minbase',
  '--aptopt=Apt::Install-Recommends "false"',
  ...EXCLUDED.map((folder) => `--dpkgopt=path-exclude=/usr/share/${folder}/*`),
  '--dpkgopt=path-include=/usr/share/doc/*/copyright',
];
const BASE = 'FROM scratch\nADD base.tar /\n';
const NODE = `ARG BASE_IMAGE
FROM \${BASE_IMAGE}
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends libatomic1 libstdc++6 binutils
COPY usr /usr
`;

export interface LocalImages {
  BASE_IMAGE: string;
  NODE_IMAGE: string;
}

/**
 * Makes both, or finds them made before.
 * @param release Debian's code name
 * @param node the Node binary, of version `nodeVersion`
 */
export async function makeLocalImages(
  builder: Builder,
  cache: string,
  { release, node, nodeVersion }: { release: string; node: string; nodeVersion: string },
): Promise<LocalImages> {
  const npmVersion = (await must('npm', ['--version'])).trim();
  const baseKey = keyOf([process.arch, release, ...MMDEBSTRAP, ...sourcesOf(release), BASE]);
  const nodeKey = keyOf([process.arch, baseKey, nodeVersion, npmVersion, NODE]);
  const images = {
    BASE_IMAGE: `localhost/invalid-drop-build/debian:${baseKey}`,
    NODE_IMAGE: `localhost/invalid-drop-build/node:${nodeKey}`,
  };
  const has = (image: string) => succeeds(builder.name, existsArgs(builder.name, image), { env: builder.env });
  if (!(await has(images.BASE_IMAGE))) {
    const folder = await makeDebian(`${cache}/debian-${baseKey}`, release);
    await buildIn(folder, BASE, images.BASE_IMAGE, builder, {});
  }
  if (!(await has(images.NODE_IMAGE))) {
    const folder = await makeNode(`${cache}/node-${nodeKey}`, node, npmVersion);
    await buildIn(folder, NODE, images.NODE_IMAGE, builder, { BASE_IMAGE: images.BASE_IMAGE });
  }
  return images;
}

/**
 * A small Debian as `base.tar` in a folder, made once.
 * @param packages installed beside the essential ones
 * @returns the folder
 */
export function makeDebian(folder: string, release: string, packages: string[] = []): Promise<string> {
  const include = packages.length > 0 ? [`--include=${packages.join(',')}`] : [];
  return folderOnce(folder, async (unfinished) => {
    if (!(await succeeds('mmdebstrap', ['--version']))) await installPackages(['mmdebstrap']);
    const args = [...MMDEBSTRAP, ...include, release, `${unfinished}/base.tar`, ...sourcesOf(release)];
    await must('mmdebstrap', args, { limit: BUILD_LIMIT });
  });
}

const sourcesOf = (release: string) => [MIRROR, `deb http://deb.debian.org/debian-security ${release}-security main`];

function makeNode(folder: string, node: string, npmVersion: string): Promise<string> {
  return folderOnce(folder, async (unfinished) => {
    await mkdir(`${unfinished}/usr/local/bin`, { recursive: true });
    await copyFile(node, `${unfinished}/usr/local/bin/node`);
    await chmod(`${unfinished}/usr/local/bin/node`, 0o755);
    const flags = ['--no-audit', '--no-fund', '--loglevel=error'];
    const args = ['install', '--global', '--prefix', `${unfinished}/usr/local`, ...flags, `npm@${npmVersion}`];
    await must('npm', args, { limit: BUILD_LIMIT });
  });
}

async function buildIn(
  context: string,
  text: string,
  image: string,
  { name, env }: Builder,
  args: Record<string, string>,
): Promise<void> {
  const containerfile = `${context}/Containerfile`;
  await writeFile(containerfile, text);
  await must(name, buildArgs(name, { containerfile, context, image, args, secrets: {} }), { env, limit: BUILD_LIMIT });
}
