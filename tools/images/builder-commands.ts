// The command lines of the three builders.
import type { BuilderName } from './image-builder.ts';

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
