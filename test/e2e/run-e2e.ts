// The end-to-end tests on Kubernetes alone: `make e2e`. Arguments: the test files; all of them where none is given.
import { CRD_MODULES, hasGo } from '../harness/cluster/crds.ts';
import { clusterUp, loadImages, runSuite, step } from '../harness/cluster/suite.ts';

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

process.exitCode = await runSuite({
  folder: 'test/e2e',
  suffix: '.e2e.ts',
  files: process.argv.slice(2),
  fileLimitSeconds: 1200,
  prepare: [downloadCrds, clusterUp, () => loadImages(), loadPrevious],
});
