// A kernel as qemu wants it: its image, and an archive of the modules that the tests need.
import { cp, readdir, rm, symlink } from 'node:fs/promises';
import { must } from '../harness/netns/processes.ts';
import { packFolder } from './archive.ts';
import { folderOnce, keyOf } from './cache.ts';
import { openArchive, sourcesOf } from './debian.ts';
import type { Kernel } from './kernels.ts';

export interface KernelFiles {
  /** As uname -r prints it. */
  release: string;
  image: string;
  modules: string;
}

const PREFIX = 'vmlinuz-';
/** Modules that are kept, under kernel/: netfilter and what it needs, veth, and the port that the report goes through. */
const MODULES = /^(net|lib|crypto|arch|drivers\/(net\/veth\.ko|virtio|char\/virtio_console))/;

/** Debian's kernel for virtual machines: as the usual one, without drivers for hardware. */
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
