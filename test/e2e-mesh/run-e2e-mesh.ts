// The end-to-end tests with Istio: `make e2e-mesh`. Arguments: the test files; all of them where none is given.
import { loadImages, runSuite, type Suite, step } from '../harness/cluster/e2e-suite.ts';

export const E2E_MESH_SUITE: Suite = {
  folder: 'test/e2e-mesh',
  suffix: '.mesh.ts',
  stages: [
    {
      why: '',
      files: [
        'ambient-rules.mesh.ts',
        'ambient.mesh.ts',
        'cli-preflight.mesh.ts',
        'exposure.mesh.ts',
        'incident.mesh.ts',
        'modes.mesh.ts',
        'node-mode.mesh.ts',
        'operator.mesh.ts',
        'order.mesh.ts',
        'rolls.mesh.ts',
        'scope.mesh.ts',
        'whole-cure.mesh.ts',
      ],
    },
  ],
  fileLimitSeconds: 1800,
  prepare: [() => step('node', 'tools/mesh/mesh-up.ts'), () => loadImages()],
};

if (import.meta.main) process.exitCode = await runSuite(E2E_MESH_SUITE, process.argv.slice(2));
