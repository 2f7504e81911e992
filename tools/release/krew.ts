// The manifest by which krew, kubectl's plugin manager, installs `kubectl invalid-drop` (krew.sigs.k8s.io,
// docs/developer-guide/plugin-manifest). Pure.
import { dumpYaml } from '@kubernetes/client-node';
import type { StandaloneArch } from './standalone.ts';

/** The archive of one self-contained program: a .tar.gz with the program as `kubectl-invalid_drop`, and LICENSE. */
export interface KrewArchive {
  arch: StandaloneArch;
  /** Where the release has it. */
  uri: string;
  /** Of the archive, in hexadecimal digits. */
  sha256: string;
}

/** @param version without v @param homepage the repository's address @returns YAML */
export function krewManifest(version: string, homepage: string, archives: readonly KrewArchive[]): string {
  const platforms = archives.map(({ arch, uri, sha256 }) => ({
    selector: { matchLabels: { os: 'linux', arch } },
    ...{ uri, sha256, bin: 'kubectl-invalid_drop' },
    files: ['kubectl-invalid_drop', 'LICENSE'].map((from) => ({ from, to: '.' })),
  }));
  return dumpYaml({
    apiVersion: 'krew.googlecontainertools.github.com/v1alpha2',
    kind: 'Plugin',
    metadata: { name: 'invalid-drop' },
    spec: {
      version: `v${version}`,
      homepage,
      // krew's reviewers ask for 50 characters at most, and no stop at the end.
      shortDescription: 'See whether Istio pods are safe from resets',
      description:
        'Looks at an installation of invalid-drop, which keeps the kernel from resetting healthy connections in Istio pods: status, coverage, the guarding of pods that run already, and diagnosis.\n',
      platforms,
    },
  });
}
