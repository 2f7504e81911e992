// Where a release comes from: an in-toto statement v1 with SLSA's provenance v1, whose subjects are all files and all
// images (https://in-toto.io/Statement/v1, https://slsa.dev/spec/v1.0/provenance).
import type { SummedFile } from './checksums.ts';
import type { ArchiveState } from './debian-root.ts';
import type { NodePackage } from './node-binary.ts';
import { PLATFORMS, type Platform, type ReleaseList } from './release-list.ts';

/** A thing by name or address, with its hashes (in-toto, ResourceDescriptor). */
export interface Resource {
  name?: string;
  uri?: string;
  digest?: Record<string, string>;
  annotations?: Record<string, unknown>;
}

export interface ProvenanceStatement {
  _type: 'https://in-toto.io/Statement/v1';
  subject: Resource[];
  predicateType: 'https://slsa.dev/provenance/v1';
  predicate: {
    buildDefinition: {
      buildType: string;
      externalParameters: Record<string, unknown>;
      internalParameters: Record<string, unknown>;
      resolvedDependencies: Resource[];
    };
    runDetails: { builder: { id: string; version: Record<string, string> }; metadata: { invocationId: string } };
  };
}

export interface ProvenanceFacts {
  list: Pick<ReleaseList, 'version' | 'registry' | 'source' | 'commit' | 'dirty' | 'images'>;
  files: SummedFile[];
  archive: ArchiveState;
  nodes: Record<Platform, NodePackage>;
  /** SHA-256 of package-lock.json, which has the hashes of all npm packages. */
  lockSha256: string;
  /** Packages of Debian in the images, by architecture: NAME=VERSION. */
  debian: Record<Platform, string[]>;
  /** Programs that made it, such as node and mmdebstrap, with their versions. */
  tools: Record<string, string>;
}

/** Nothing in it depends on the time or on the machine, but the versions of the programs there. */
export function makeProvenance({
  list,
  files,
  archive,
  nodes,
  lockSha256,
  debian,
  tools,
}: ProvenanceFacts): ProvenanceStatement {
  const { version, registry, source, commit, dirty, images } = list;
  return {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [
      ...files.map(({ path, sha256 }) => ({ name: path, digest: { sha256 } })),
      ...images.flatMap(({ name, digest, platforms }) => [
        { name: `${registry}/${name}`, digest: sha256Of(digest) },
        ...PLATFORMS.map((platform) => ({
          name: `${registry}/${name}`,
          digest: sha256Of(platforms[platform].digest),
          annotations: { platform: `linux/${platform}` },
        })),
      ]),
    ],
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: {
      buildDefinition: {
        buildType: `${source}/blob/v${version}/docs/releasing.md`,
        externalParameters: { command: 'make release', VERSION: version, REGISTRY: registry, SOURCE: source },
        // A consumer can refuse what does not come from a commit.
        internalParameters: { dirty },
        resolvedDependencies: [
          { uri: `git+${source}@refs/tags/v${version}`, digest: { gitCommit: commit } },
          { name: 'package-lock.json', digest: { sha256: lockSha256 } },
          ...PLATFORMS.map((platform) => nodeResource(nodes[platform])),
          ...archive.lists.map(({ url, date, sha256 }) => ({ uri: url, digest: { sha256 }, annotations: { date } })),
          ...PLATFORMS.flatMap((platform) => debian[platform].map((name) => debianResource(name, platform))),
        ],
      },
      runDetails: {
        builder: { id: `${source}/blob/v${version}/Makefile`, version: tools },
        metadata: { invocationId: commit },
      },
    },
  };
}

const sha256Of = (digest: string) => ({ sha256: digest.replace(/^sha256:/, '') });

/** npm's integrity is base64, in-toto's digests are hexadecimal. */
function nodeResource({ name, version, integrity }: NodePackage): Resource {
  const sha512 = Buffer.from(integrity.replace(/^sha512-/, ''), 'base64').toString('hex');
  return { uri: `pkg:npm/${name}@${version}`, digest: { sha512 } };
}

function debianResource(nameAndVersion: string, platform: Platform): Resource {
  const [name = '', version = ''] = nameAndVersion.split('=');
  return { uri: `pkg:deb/debian/${encodeURIComponent(name)}@${encodeURIComponent(version)}?arch=${platform}` };
}
