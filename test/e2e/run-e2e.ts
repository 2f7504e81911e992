// The end-to-end tests on Kubernetes alone: `make e2e`. Arguments: the test files; all of them where none is given.
import { hasGo } from '../../tools/cluster/build-program.ts';
import { CRD_MODULES } from '../harness/cluster/crds.ts';
import { buildPlugin, clusterUp, loadImages, runSuite, type Suite, step } from '../harness/cluster/e2e-suite.ts';

const PREVIOUS = '-previous';

/** The images of the commit before, to upgrade from. Without a history there are none, and that test is skipped. */
async function loadPrevious(): Promise<number> {
  if ((await step('git', 'rev-parse', '--quiet', '--verify', 'HEAD~1')) !== 0) return 0;
  const made = (await step('make', 'images', 'COMMIT=HEAD~1', `TAG=${PREVIOUS}`)) || (await loadImages(PREVIOUS));
  process.env['INVALID_DROP_E2E_PREVIOUS'] = PREVIOUS;
  return made;
}

/** The tests that need them are skipped where there is no Go. */
const downloadCrds = async () => ((await hasGo()) ? step('go', 'mod', 'download', ...CRD_MODULES) : 0);

export const E2E_SUITE: Suite = {
  folder: 'test/e2e',
  suffix: '.e2e.ts',
  stages: [
    {
      why: '',
      files: [
        'availability.e2e.ts',
        'cli-explain.e2e.ts',
        'cli-preflight.e2e.ts',
        'cli-status.e2e.ts',
        'cluster-nodes.e2e.ts',
        'cluster.e2e.ts',
        'fuzz.e2e.ts',
        'guard-running.e2e.ts',
        'guarded-pods.e2e.ts',
        'images.e2e.ts',
        'install.e2e.ts',
        'istio.e2e.ts',
        'limits.e2e.ts',
        'monitoring.e2e.ts',
        'networks.e2e.ts',
        'one-ca.e2e.ts',
        'other-meshes.e2e.ts',
        'status-page.e2e.ts',
        'version-before.e2e.ts',
        'workloads.e2e.ts',
      ],
    },
    {
      why: 'reads from the audit log what the webhook asked for while the tests before it ran',
      files: ['permissions.e2e.ts'],
    },
    {
      why: 'replicas that cert-manager replaces still ask for what they may no longer do, which permissions.e2e.ts forbids',
      files: ['overlays.e2e.ts'],
    },
    { why: 'removes the webhook that all other tests need', files: ['uninstall.e2e.ts'] },
  ],
  fileLimitSeconds: 1200,
  prepare: [downloadCrds, buildPlugin, clusterUp, () => loadImages(), loadPrevious],
};

if (import.meta.main) process.exitCode = await runSuite(E2E_SUITE, process.argv.slice(2));
