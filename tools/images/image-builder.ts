// The program that builds images: buildah, podman or docker, whichever works here, and the command line of each.
import { must, run } from '../../test/harness/netns/processes.ts';

export type BuilderName = 'buildah' | 'podman' | 'docker';
export interface Builder {
  name: BuilderName;
  /** Environment that it needs on this machine. */
  env: NodeJS.ProcessEnv;
}

const ORDER: BuilderName[] = ['buildah', 'podman', 'docker'];
/** Milliseconds for a build, a download or an installation. */
export const BUILD_LIMIT = 900_000;
/** Milliseconds for a builder to show that it works. */
const ANSWER = 20_000;

/** The builder asked for, or the first that works; Debian's buildah is installed where none does. */
export async function findBuilder(wanted: string | undefined): Promise<Builder> {
  if (wanted !== undefined && !ORDER.some((name) => name === wanted)) {
    throw new Error(`BUILDER is '${wanted}'; allowed are ${ORDER.join(', ')}`);
  }
  const names = ORDER.filter((name) => wanted === undefined || name === wanted);
  const found = await firstThatWorks(names);
  if (found) return found;
  if (!names.includes('buildah')) throw new Error(`${wanted} does not work here: '${wanted} info' fails`);
  await installPackages(['buildah']);
  const installed = await firstThatWorks(['buildah']);
  if (!installed) throw new Error("buildah is installed, but 'buildah info' fails");
  return installed;
}

async function firstThatWorks(names: BuilderName[]): Promise<Builder | undefined> {
  for (const name of names) {
    // Overlay is faster; vfs works everywhere. chroot isolation needs no runtime, no cgroups and no network of its own.
    const storages = name === 'docker' ? [{}] : [{}, { STORAGE_DRIVER: 'vfs' }];
    for (const storage of storages) {
      const env = { ...process.env, ...(name === 'buildah' ? { BUILDAH_ISOLATION: 'chroot' } : {}), ...storage };
      if (await succeeds(name, ['info'], { env, limit: ANSWER })) return { name, env };
    }
  }
  return undefined;
}

/** Whether a program is there and ends with exit code 0. */
export async function succeeds(...command: Parameters<typeof run>): Promise<boolean> {
  return (await run(...command)).exitCode === 0;
}

/** Installs Debian packages. @throws where that is not possible, with what to install */
export async function installPackages(packages: string[]): Promise<void> {
  if (process.getuid?.() !== 0 || !(await succeeds('apt-get', ['--version']))) {
    throw new Error(`not found: ${packages.join(', ')}. Install it, or run this as root where apt-get is.`);
  }
  process.stdout.write(`installing ${packages.join(', ')} with apt-get\n`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  await must('apt-get', ['update', '-qq'], { env, limit: BUILD_LIMIT });
  await must('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], { env, limit: BUILD_LIMIT });
}

export interface Build {
  containerfile: string;
  context: string;
  image: string;
  /** Build arguments by name. */
  args: Record<string, string>;
  /** Files that the build may read and that stay out of the image, by the id in the Containerfile. */
  secrets: Record<string, string>;
}

/** The arguments that build an image. */
export function buildArgs(builder: BuilderName, { containerfile, context, image, args, secrets }: Build): string[] {
  return [
    ...(builder === 'docker' ? ['buildx', 'build', '--load'] : ['build', '--layers']),
    ...['-f', containerfile, '-t', image],
    ...Object.entries(args).flatMap(([name, value]) => ['--build-arg', `${name}=${value}`]),
    ...Object.entries(secrets).flatMap(([id, file]) => ['--secret', `id=${id},src=${file}`]),
    context,
  ];
}

/** The arguments that write an image to an OCI archive, which `ctr images import` and `docker load` read. */
export function saveArgs(builder: BuilderName, image: string, file: string): string[] {
  if (builder === 'buildah') return ['push', image, `oci-archive:${file}:${image}`];
  if (builder === 'podman') return ['save', '--format', 'oci-archive', '-o', file, image];
  // An OCI layout since Docker 25.
  return ['save', '-o', file, image];
}

/** The arguments that succeed where the image is in the builder's storage. */
export function existsArgs(builder: BuilderName, image: string): string[] {
  return builder === 'buildah' ? ['inspect', '--type', 'image', image] : ['image', 'inspect', image];
}
