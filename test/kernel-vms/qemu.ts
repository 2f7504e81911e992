// The qemu that the guests run in. qemu 10 emulates many short programs three times as fast as 7.2
// (iptables-nft-save: 8 ms, not 40 ms), so that Debian 12 takes it from its backports.
import { rm } from 'node:fs/promises';
import { folderOnce, keyOf } from '../harness/cache-folder.ts';
import { must, run } from '../harness/netns/processes.ts';
import { backportsOf, openArchive } from './debian.ts';
import type { Kernel } from './kernels.ts';

export interface Qemu {
  /** Name or path. */
  program: string;
  /** Folders with its firmware; none where it knows them itself. */
  data: string[];
}

const PROGRAMS = { amd64: 'qemu-system-x86_64', arm64: 'qemu-system-aarch64' };
const PACKAGES = { amd64: 'qemu-system-x86', arm64: 'qemu-system-arm' };
const FAST = 10;
/** The release whose backports run on it and on later ones; the libraries are those of its own qemu. */
const SUITE = 'bookworm';
/** Milliseconds for a program of Debian's that reads or unpacks. */
const LIMIT = 120_000;

/** The major version in what `qemu --version` prints; 0 where there is none. */
export function majorVersion(printed: string): number {
  return Number(printed.match(/version (\d+)\./)?.[1] ?? 0);
}

/**
 * The machine's own qemu where it is fast or the backport cannot run here; otherwise Debian's backport, fetched once.
 */
export async function findQemu(cache: string, architecture: Kernel['architecture']): Promise<Qemu> {
  const own = { program: PROGRAMS[architecture], data: [] };
  const versionOf = async (program: string) => majorVersion((await run(program, ['--version'])).stdout);
  if ((await versionOf(own.program)) >= FAST) return own;
  const fetched = await fetchQemu(cache, architecture);
  return (await versionOf(fetched.program)) >= FAST ? fetched : own;
}

/** Unpacks the backport into the cache. The machine itself stays as it is. */
async function fetchQemu(cache: string, architecture: Kernel['architecture']): Promise<Qemu> {
  const host = (await must('dpkg', ['--print-architecture'])).trim();
  const packages = [PACKAGES[architecture], 'qemu-system-common', 'qemu-system-data'];
  const lines = backportsOf(SUITE);
  const folder = await folderOnce(`${cache}/qemu-${architecture}-${keyOf([lines, packages, host])}`, async (work) => {
    const archive = await openArchive(`${work}/apt`, { lines, architecture: host });
    for (const file of await archive.download(packages)) {
      await must('dpkg-deb', ['--extract', file, work], { limit: LIMIT });
    }
    await rm(`${work}/apt`, { recursive: true });
  });
  return {
    program: `${folder}/usr/bin/${PROGRAMS[architecture]}`,
    data: [`${folder}/usr/share/qemu`, '/usr/share/seabios'],
  };
}
