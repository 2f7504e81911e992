// release.json: what a release consists of. `make release` writes it; publishing and tests read it.
import { readFile } from 'node:fs/promises';
import { errors } from './release-errors.ts';

/** Processor architectures of the images and of the self-contained programs, in the words of OCI. */
export const PLATFORMS = ['amd64', 'arm64'] as const;
export type Platform = (typeof PLATFORMS)[number];

/** An image of the release. Its digests do not depend on the registry. */
export interface ReleasedImage {
  name: string;
  /** OCI layout archive with one index of all platforms; path below the release's folder. */
  archive: string;
  /** Digest of the index, `sha256:...`. */
  digest: string;
  platforms: Record<Platform, ReleasedPlatform>;
}

export interface ReleasedPlatform {
  /** Digest of the image manifest of this platform. */
  digest: string;
  /** Bytes that a node pulls: manifest, configuration and compressed layers. */
  bytes: number;
  /** CycloneDX; path below the release's folder. */
  sbom: string;
}

export interface ReleaseList {
  version: string;
  /** Where the images are published, such as registry.example/invalid-drop. */
  registry: string;
  /** Address of the source. */
  source: string;
  commit: string;
  dirty: boolean;
  images: ReleasedImage[];
  /** Path of the packaged Helm chart below the release's folder. */
  chart: string;
  /** Path of the in-toto statement below the release's folder. */
  provenance: string;
}

export const LIST_FILE = 'release.json';

/** @throws CodedError RELEASE_NOT_MADE */
export async function readReleaseList(folder: string): Promise<ReleaseList> {
  try {
    return JSON.parse(await readFile(`${folder}/${LIST_FILE}`, 'utf8')) as ReleaseList;
  } catch (error) {
    throw errors.RELEASE_NOT_MADE(folder, (error as Error).message);
  }
}
