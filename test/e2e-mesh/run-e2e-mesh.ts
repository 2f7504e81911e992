// The end-to-end tests with Istio: `make e2e-mesh`. Arguments: the test files; all of them where none is given.
import { loadImages, runSuite, step } from '../harness/cluster/suite.ts';

process.exitCode = await runSuite({
  folder: 'test/e2e-mesh',
  suffix: '.mesh.ts',
  files: process.argv.slice(2),
  fileLimitSeconds: 1800,
  prepare: [() => step('node', 'tools/mesh/mesh-up.ts'), () => loadImages()],
});
