// The end-to-end tests of a release: made from this tree, published in a registry, and installed from there on a cluster of
// two nodes: `make e2e-release`. Arguments: the test files; all of them where none is given. The nodes have to trust the
// registry, so that it is always a cluster of its own.
import { layoutOf } from '../../tools/cluster/cluster-layout.ts';
import { readSettings } from '../../tools/cluster/cluster-settings.ts';
import { findReleasePrograms } from '../../tools/release/release-programs.ts';
import { clusterUp, loadImages, runSuite, type Suite, step } from '../harness/cluster/e2e-suite.ts';
import { makeSigningKey, RELEASED_IMAGES, releaseEnvironment } from '../harness/registry/published-release.ts';
import { REGISTRY_ADDRESS, registryEnvironment, startRegistry } from '../harness/registry/registry-server.ts';

const NEVER = new AbortController().signal;
const tell = (text: string) => void process.stdout.write(`${text}\n`);

const findPrograms = () =>
  findReleasePrograms(['crane', 'registry', 'helm', 'cosign'], readSettings(process.env).cache, tell, NEVER);

async function makeRelease(): Promise<number> {
  Object.assign(process.env, releaseEnvironment(REGISTRY_ADDRESS));
  await makeSigningKey((await findPrograms()).cosign);
  return step('make', '--no-print-directory', 'release');
}

/** The second node has containerd 2, the first Debian's 1.6: both pull. */
const twoNodesUp = () => {
  process.env['NODES'] = '2';
  process.env['USER_NAMESPACES'] = 'true';
  return clusterUp();
};

/** Publishes from the cluster's network: the registry is nowhere else. */
async function publish(): Promise<number> {
  const access = await startRegistry(layoutOf(readSettings(process.env).name), await findPrograms());
  const variables = Object.entries(registryEnvironment(access)).map(([name, value]) => `${name}=${value}`);
  const command = ['env', ...variables, 'node', 'tools/release/publish.ts'];
  return step('node', 'tools/cluster/cluster-command.ts', 'run', '--', ...command);
}

export const E2E_RELEASE_SUITE: Suite = {
  folder: 'test/e2e-release',
  suffix: '.release.ts',
  // It makes releases, which takes long and needs the machine's network: make test-release.
  apart: ['release-files.release.ts'],
  stages: [
    // No node has any of our images yet: it measures what a first installation takes.
    { why: '', files: ['first-guarded.release.ts'] },
    {
      why: 'they leave images on the nodes',
      files: [
        'chart-templates.release.ts',
        'install-file.release.ts',
        'pull-secrets.release.ts',
        'registry.release.ts',
        'signatures.release.ts',
      ],
    },
    {
      why: 'the chart of the tree names images that are not pulled',
      prepare: () => loadImages('', RELEASED_IMAGES),
      files: ['chart-upgrade.release.ts'],
    },
  ],
  fileLimitSeconds: 600,
  prepare: [makeRelease, twoNodesUp, publish],
};

if (import.meta.main) {
  delete process.env['KUBECONFIG'];
  process.exitCode = await runSuite(E2E_RELEASE_SUITE, process.argv.slice(2));
}
