// The programs of the tests of Istio's ambient mode, which are built in Istio's own module: what it has in Go they take from
// there.
import { fileURLToPath } from 'node:url';
import { buildMissing, type Module } from '../cluster/build-program.ts';

/** A module of its own here, so that a change of theirs does not build Istio's programs anew. */
const AMBIENT: Module = {
  directory: fileURLToPath(new URL('../istio', import.meta.url)),
  packages: new Map([
    ['ztunnel-stand-in', './ztunnel-stand-in'],
    ['ambient-rules', './ambient-rules'],
  ]),
  variables: {},
};

export interface AmbientPrograms {
  /** Stands in for ztunnel: tools/istio/ztunnel-stand-in. */
  ztunnel: string;
  /** Writes a pod's rules by the code that istio-cni runs: tools/istio/ambient-rules. */
  rules: string;
}

/**
 * Builds what is not in the cache: seconds where Istio's programs were built before, minutes elsewhere.
 * @param cache directory outside the tree
 * @returns paths
 * @throws CodedError CLUSTER_PROGRAM_MISSING, CLUSTER_BUILD_FAILED
 */
export async function findAmbientPrograms(cache: string): Promise<AmbientPrograms> {
  const names = [...AMBIENT.packages.keys()];
  const paths = await buildMissing(AMBIENT, names, cache, () => undefined, new AbortController().signal);
  return { ztunnel: paths.get('ztunnel-stand-in') ?? '', rules: paths.get('ambient-rules') ?? '' };
}
