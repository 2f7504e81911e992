// The programs that make, publish and install a release: each is built from a pinned Go module of its own, because their
// dependencies do not agree.
import { fileURLToPath } from 'node:url';
import { buildMissing, type Module } from '../cluster/build-program.ts';

interface ReleaseProgram {
  /** Go package of the command. */
  package: string;
  /** Version of its module, as in tools/NAME/go.mod. */
  version: string;
  /** Go variable that holds what `NAME version` prints. */
  variable: string;
}

const PROGRAMS = {
  helm: {
    package: 'helm.sh/helm/v4/cmd/helm',
    version: 'v4.3.1',
    variable: 'helm.sh/helm/v4/internal/version.version',
  },
  registry: {
    package: 'github.com/distribution/distribution/v3/cmd/registry',
    version: 'v3.1.2',
    variable: 'github.com/distribution/distribution/v3/version.version',
  },
  crane: {
    package: 'github.com/google/go-containerregistry/cmd/crane',
    version: 'v0.22.1',
    variable: 'github.com/google/go-containerregistry/cmd/crane/cmd.Version',
  },
  cosign: {
    package: 'github.com/sigstore/cosign/v3/cmd/cosign',
    version: 'v3.1.3',
    variable: 'sigs.k8s.io/release-utils/version.gitVersion',
  },
} satisfies Record<string, ReleaseProgram>;

export type ReleaseProgramName = keyof typeof PROGRAMS;

/**
 * Builds those of the programs that are not in the cache: one to five minutes each, once.
 * @param cache directory outside the tree
 * @param tell is called with what takes long
 * @returns the path of each program
 * @throws CodedError CLUSTER_PROGRAM_MISSING where there is no Go, CLUSTER_BUILD_FAILED
 */
export async function findReleasePrograms<N extends ReleaseProgramName>(
  names: readonly N[],
  cache: string,
  tell: (text: string) => void,
  signal: AbortSignal,
): Promise<Record<N, string>> {
  const paths: [string, string][] = [];
  // One after the other: a build takes all cores.
  for (const name of names) {
    const built = await buildMissing(moduleOf(name), [name], cache, tell, signal);
    paths.push([name, built.get(name) ?? '']);
  }
  return Object.fromEntries(paths) as Record<N, string>;
}

function moduleOf(name: ReleaseProgramName): Module {
  const { package: path, version, variable } = PROGRAMS[name];
  return {
    directory: fileURLToPath(new URL(`../${name}`, import.meta.url)),
    packages: new Map([[name, path]]),
    variables: { [variable]: version },
  };
}
