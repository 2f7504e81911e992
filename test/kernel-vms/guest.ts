// The guest's file systems, as archives that the kernel unpacks: Debian with iptables and nftables, the Node that
// ships, and the project with its tests and its npm packages.

import { createReadStream, createWriteStream } from 'node:fs';
import { chmod, copyFile, cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { build, type Plugin } from 'esbuild';
import { folderOnce, keyOf } from '../harness/cache-folder.ts';
import { must } from '../harness/netns/processes.ts';
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
  'socat',
  'util-linux',
  'kmod',
  'mount',
  'procps',
  'libatomic1',
  'libstdc++6',
];
/** Folders that packages' scripts would make; for another architecture these are not run. */
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
  'docs/upstream',
  'init-image',
  'lib',
  'manifests',
  'node-agent',
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

/** Packs the project as it is now, with the orders. @param folder for the work @returns path of the archive */
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

/** Packs a folder. Symbolic links stay what they are. */
export async function packFolder(folder: string, file: string): Promise<void> {
  // Node's readdir would follow links to folders.
  const input = await must('find', ['.'], { cwd: folder });
  const format = ['--create', '--format=newc', '--owner=0:0', '--quiet'];
  await must('cpio', [...format, `--file=${file}`], { cwd: folder, input, limit: 120_000 });
}

/** Joins archives into one file: a file of a later one replaces that of an earlier one. */
export async function joinArchives(archives: string[], file: string): Promise<void> {
  const output = createWriteStream(file);
  for (const archive of archives) await pipeline(createReadStream(archive), output, { end: false });
  await new Promise<void>((resolve, reject) =>
    output.end((error?: Error | null) => (error ? reject(error) : resolve())),
  );
}

const PACKAGES = ['tap', 'fast-json-patch', '@kubernetes/client-node'];

/** Parts of tap need CommonJS's `require`, which a module lacks. */
const REQUIRE = `import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);`;

/** To print React elements, tap loads a package by `require` at run time. No kernel test has such elements. */
const noReact: Plugin = {
  name: 'no-react',
  setup({ onLoad }) {
    onLoad({ filter: /tcompare\/.*react-element-to-jsx-string\.js$/ }, () => ({ contents: 'export default String;' }));
  },
};

/** Writes node_modules with the bundled packages into `folder`. */
export async function bundlePackages(root: string, folder: string): Promise<void> {
  for (const name of PACKAGES) {
    const target = `${folder}/node_modules/${name}`;
    await mkdir(target, { recursive: true });
    await writeFile(`${target}/package.json`, JSON.stringify({ name, type: 'module', exports: './index.js' }));
    await build({
      stdin: {
        contents: `export * from '${name}'; import * as all from '${name}'; export default all.default;`,
        resolveDir: root,
      },
      outfile: `${target}/index.js`,
      bundle: true,
      platform: 'node',
      target: 'node26',
      format: 'esm',
      banner: { js: REQUIRE },
      plugins: [noReact],
      logLevel: 'error',
    });
  }
}
