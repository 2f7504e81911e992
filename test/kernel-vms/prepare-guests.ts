// What guests need besides the project: kernels, Debian with Node, qemu. Fetched or made once, and kept in the cache.

import { cp, readdir, rm, symlink } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { readSettings } from '../../tools/cluster/cluster-settings.ts';
import { folderOnce, keyOf } from '../harness/cache-folder.ts';
import { must } from '../harness/netns/processes.ts';
import { chooseAccelerator } from './boot.ts';
import { openArchive, sourcesOf } from './debian.ts';
import { makeBase, packFolder } from './guest.ts';
import type { Kernel, KernelFiles } from './kernels.ts';
import { findQemu } from './qemu.ts';
import type { Run } from './run-kernel.ts';

const OWN_NODE = fileURLToPath(new URL('../../node_modules/node/bin/node', import.meta.url));

export interface Prepared {
  machine: Pick<Run, 'architecture' | 'qemu' | 'base' | 'accelerator'>;
  /** In the order of the kernels. */
  files: KernelFiles[];
}

/** @param kernels at least one, all of one architecture */
export async function prepare(kernels: Kernel[], env: NodeJS.ProcessEnv): Promise<Prepared> {
  const cache = `${readSettings(env).cache}/kernels`;
  const files: KernelFiles[] = [];
  for (const kernel of kernels) files.push(await fetchKernel(cache, kernel));
  const { architecture = 'amd64' } = kernels[0] ?? {};
  const node = await nodeFor(cache, architecture, OWN_NODE, process.version);
  const base = await makeBase(cache, architecture, node, process.version);
  const qemu = await findQemu(cache, architecture);
  const accelerator = chooseAccelerator(qemu, architecture, files[0]?.image ?? '');
  return { machine: { architecture, qemu, base, accelerator }, files };
}

const PREFIX = 'vmlinuz-';
/**
 * Modules that are kept, under kernel/: netfilter and what it needs, veth, and the port that the report goes through.
 */
const MODULES = /^(net|lib|crypto|arch|drivers\/(net\/veth\.ko|virtio|char\/virtio_console))/;

/** Debian's kernel for virtual machines, which lacks hardware drivers only. */
export async function fetchKernel(cache: string, { suite, architecture }: Kernel): Promise<KernelFiles> {
  const metapackage = `linux-image-cloud-${architecture}`;
  const key = keyOf([sourcesOf(suite), metapackage, MODULES.source]);
  const folder = await folderOnce(`${cache}/kernel-${suite}-${architecture}-${key}`, async (unfinished) => {
    const work = `${unfinished}/work`;
    const archive = await openArchive(work, { lines: sourcesOf(suite), architecture });
    const [file = ''] = await archive.download([await archive.dependency(metapackage, /^linux-image/)]);
    await must('dpkg-deb', ['--extract', file, `${work}/package`], { limit: 120_000 });
    await keepNeeded(`${work}/package`, `${work}/needed`);
    const image = await findImage(`${work}/package/boot`);
    await cp(`${work}/package/boot/${image}`, `${unfinished}/${image}`);
    await packFolder(`${work}/needed`, `${unfinished}/modules.cpio`);
    await rm(work, { recursive: true });
  });
  const image = await findImage(folder);
  return {
    release: image.slice(PREFIX.length),
    image: `${folder}/${image}`,
    modules: `${folder}/modules.cpio`,
  };
}

async function findImage(folder: string): Promise<string> {
  const image = (await readdir(folder)).find((name) => name.startsWith(PREFIX));
  if (!image) throw new Error(`no kernel in ${folder}`);
  return image;
}

/** Copies the needed modules to where modprobe looks for them, with an index of their own. */
async function keepNeeded(from: string, to: string): Promise<void> {
  // Since trixie packages have /usr/lib only.
  const lib = (await readdir(from)).includes('lib') ? 'lib' : 'usr/lib';
  const [release = ''] = await readdir(`${from}/${lib}/modules`);
  const source = `${from}/${lib}/modules/${release}`;
  const target = `${to}/usr/lib/modules/${release}`;
  for (const entry of await readdir(source, { recursive: true, withFileTypes: true })) {
    const name = `${entry.parentPath}/${entry.name}`.slice(source.length + 1);
    const isWanted = name.startsWith('modules.') || MODULES.test(name.replace(/^kernel\//, ''));
    if (entry.isFile() && isWanted) await cp(`${source}/${name}`, `${target}/${name}`);
  }
  // Debian's merged /usr: where depmod looks, lib is a link.
  await symlink('usr/lib', `${to}/lib`);
  await must('depmod', ['--basedir', to, release], { limit: 120_000 });
  await rm(`${to}/lib`);
}

const LIMIT = 300_000;
/** Node's names of architectures, by Debian's. */
const NAMES = { amd64: 'x64', arm64: 'arm64' };

/**
 * Node for the guest's architecture: this machine's own, or else the npm package that `node` would install there.
 * @param own path of this machine's, and `version` what it prints for --version, such as v26.10.0
 */
export async function nodeFor(
  cache: string,
  architecture: Kernel['architecture'],
  own: string,
  version: string,
): Promise<string> {
  const name = NAMES[architecture];
  if (process.arch === name) return own;
  const folder = await folderOnce(`${cache}/node-${architecture}-${version}`, async (unfinished) => {
    const options = ['--silent', `--pack-destination=${unfinished}`];
    const file = await must('npm', ['pack', ...options, `node-linux-${name}@${version.slice(1)}`], { limit: LIMIT });
    await must('tar', ['-xzf', file.trim(), 'package/bin/node'], { cwd: unfinished, limit: LIMIT });
  });
  return `${folder}/package/bin/node`;
}
