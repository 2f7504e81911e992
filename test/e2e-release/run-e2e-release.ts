// The end-to-end tests of a release: a registry, from which a cluster of two nodes installs it: `make e2e-release`.
// Arguments: the test files; all of them where none is given. The nodes have to trust the registry, so that it is always a
// cluster of its own.

import { layoutOf } from '../../tools/cluster/cluster-layout.ts';
import { readSettings } from '../../tools/cluster/cluster-settings.ts';
import { findReleasePrograms } from '../../tools/release/release-programs.ts';
import { clusterUp, runSuite, type Suite } from '../harness/cluster/e2e-suite.ts';
import { startRegistry } from '../harness/registry/registry-server.ts';

/** The second node has containerd 2, the first Debian's 1.6: both pull. */
const twoNodesUp = () => {
  process.env['NODES'] = '2';
  process.env['USER_NAMESPACES'] = 'true';
  return clusterUp();
};

const NEVER = new AbortController().signal;

async function registryUp(): Promise<number> {
  const { name, cache } = readSettings(process.env);
  const tell = (text: string) => void process.stdout.write(`${text}\n`);
  const programs = await findReleasePrograms(['crane', 'registry', 'helm', 'cosign'], cache, tell, NEVER);
  await startRegistry(layoutOf(name), programs);
  return 0;
}

export const E2E_RELEASE_SUITE: Suite = {
  folder: 'test/e2e-release',
  suffix: '.release.ts',
  stages: [
    {
      why: '',
      files: [
        'chart-templates.release.ts',
        'chart-upgrade.release.ts',
        'pull-secrets.release.ts',
        'registry.release.ts',
      ],
    },
  ],
  fileLimitSeconds: 600,
  prepare: [twoNodesUp, registryUp],
};

if (import.meta.main) {
  delete process.env['KUBECONFIG'];
  process.exitCode = await runSuite(E2E_RELEASE_SUITE, process.argv.slice(2));
}
