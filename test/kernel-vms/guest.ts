// The guest's file systems: Debian with iptables and nftables, the Node that ships, and the project with its tests.
import { chmod, copyFile, cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { must } from '../harness/netns/processes.ts';
import { packFolder } from './archive.ts';
import { bundlePackages } from './bundle-packages.ts';
import { folderOnce, keyOf } from './cache.ts';
import { sourcesOf } from './debian.ts';
import type { Kernel } from './kernels.ts';

/** The release that the images are made from (init-image/Containerfile). */
const SUITE = 'bookworm';
const PROGRAMS = [
  'iptables',
  'nftables',
  'iproute2',
  'conntrack',
  'curl',
  'ethtool',
  'util-linux',
  'kmod',
  'mount',
  'procps',
  'libatomic1',
  'libstdc++6',
];
/** Packages' scripts make them, where they are run. */
const FOLDERS = ['usr/local/bin', 'opt', 'mnt'];
const UNREAD = ['doc', 'man', 'locale', 'info', 'zoneinfo', 'bash-completion'].map((name) => `/usr/share/${name}/*`);
/** Milliseconds to make a Debian. */
const LIMIT = 600_000;
/** Where the project is in the guest. */
export const PROJECT = '/project';
const SOURCES = [
  'LICENSE',
  'package.json',
  'demo',
  'dist',
  'init-image',
  'lib',
  'manifests',
  'test',
  'tools',
  'webhook',
];

/** What the guest is told to run. */
export interface Orders {
  /** Test files, relative to the project's root. */
  files: string[];
  /** Environment of the tests. */
  env: Record<string, string>;
  /** Milliseconds for one file. */
  limit: number;
}

/** Options of mmdebstrap. Packages of another architecture are unpacked only: their scripts cannot be run here. */
const VARIANTS = {
  amd64: { triplet: 'x86_64-linux-gnu', options: ['--variant=minbase'] },
  arm64: {
    triplet: 'aarch64-linux-gnu',
    options: [
      ...['--architectures=arm64', '--variant=extract', '--include=?essential'],
      '--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr',
    ],
  },
};

/** Debian's programs and Node as an archive, made once. @param node path of the program, for that architecture */
export async function makeBase(
  cache: string,
  architecture: Kernel['architecture'],
  node: string,
  nodeVersion: string,
): Promise<string> {
  const variant = VARIANTS[architecture];
  const include = `--include=${PROGRAMS.join()}`;
  const excluded = [`/usr/lib/${variant.triplet}/gconv/*`, ...UNREAD].map((path) => `--dpkgopt=path-exclude=${path}`);
  const options = [...variant.options, '--aptopt=Apt::Install-Recommends "false"', ...excluded, include];
  const key = keyOf([options, FOLDERS, sourcesOf(SUITE), nodeVersion]);
  const folder = await folderOnce(`${cache}/base-${architecture}-${key}`, async (unfinished) => {
    const tree = `${unfinished}/tree`;
    await must('mmdebstrap', [...options, SUITE, tree, ...sourcesOf(SUITE)], { limit: LIMIT });
    await rm(`${tree}/var/cache`, { recursive: true, force: true });
    await rm(`${tree}/var/lib/apt`, { recursive: true, force: true });
    for (const name of FOLDERS) await mkdir(`${tree}/${name}`, { recursive: true });
    await copyFile(node, `${tree}/usr/local/bin/node`);
    await chmod(`${tree}/usr/local/bin/node`, 0o755);
    await packFolder(tree, `${unfinished}/base.cpio`);
    await rm(tree, { recursive: true });
  });
  return `${folder}/base.cpio`;
}

/** The project, as it is now, with its orders, as an archive. `folder` is used for the work. */
export async function packProject(root: string, folder: string, orders: Orders): Promise<string> {
  const tree = `${folder}/tree`;
  const project = `${tree}${PROJECT}`;
  await rm(tree, { recursive: true, force: true });
  await mkdir(project, { recursive: true });
  for (const source of SOURCES) await cp(`${root}/${source}`, `${project}/${source}`, { recursive: true });
  await bundlePackages(root, project);
  // Tests take Node from where npm puts it.
  await mkdir(`${project}/node_modules/node/bin`, { recursive: true });
  await must('ln', ['-s', '/usr/local/bin/node', `${project}/node_modules/node/bin/node`]);
  await copyFile(`${root}/test/kernel-vms/inside/init`, `${tree}/init`);
  await chmod(`${tree}/init`, 0o755);
  await writeFile(`${project}/orders.json`, JSON.stringify(orders));
  await packFolder(tree, `${folder}/project.cpio`);
  await rm(tree, { recursive: true });
  return `${folder}/project.cpio`;
}
