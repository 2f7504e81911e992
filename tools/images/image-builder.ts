// The program that builds: buildah, podman or docker, whichever works here.
import { run, tryRun } from './run-program.ts';

export type BuilderName = 'buildah' | 'podman' | 'docker';
export interface Builder {
  name: BuilderName;
  /** Environment that it needs on this machine. */
  env: NodeJS.ProcessEnv;
}

const ORDER: BuilderName[] = ['buildah', 'podman', 'docker'];
/** Time for a program to say that it works, in milliseconds. */
const ANSWER = 20_000;

/** The builder asked for, or the first that works; Debian's buildah is installed where none does. */
export function findBuilder(wanted: string | undefined): Builder {
  if (wanted !== undefined && !ORDER.some((name) => name === wanted)) {
    throw new Error(`BUILDER is '${wanted}'; allowed are ${ORDER.join(', ')}`);
  }
  const names = ORDER.filter((name) => wanted === undefined || name === wanted);
  const found = firstThatWorks(names);
  if (found) return found;
  if (!names.includes('buildah')) throw new Error(`${wanted} does not work here: '${wanted} info' fails`);
  installPackages(['buildah']);
  const installed = firstThatWorks(['buildah']);
  if (!installed) throw new Error("buildah is installed, but 'buildah info' fails");
  return installed;
}

function firstThatWorks(names: BuilderName[]): Builder | undefined {
  for (const name of names) {
    // Overlay is faster; vfs works everywhere. chroot isolation needs no runtime, no cgroups and no network of its own.
    const storages = name === 'docker' ? [{}] : [{}, { STORAGE_DRIVER: 'vfs' }];
    for (const storage of storages) {
      const env = { ...process.env, ...(name === 'buildah' ? { BUILDAH_ISOLATION: 'chroot' } : {}), ...storage };
      if (tryRun(name, ['info'], { env, limit: ANSWER }) !== undefined) return { name, env };
    }
  }
  return undefined;
}

/** Installs Debian packages. @throws where that is not possible, with what to install */
export function installPackages(packages: string[]): void {
  if (process.getuid?.() !== 0 || tryRun('apt-get', ['--version']) === undefined) {
    throw new Error(`not found: ${packages.join(', ')}. Install it, or run this as root where apt-get is.`);
  }
  process.stdout.write(`installing ${packages.join(', ')} with apt-get\n`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  run('apt-get', ['update', '-qq'], { env });
  run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], { env });
}
