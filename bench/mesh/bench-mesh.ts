// `make bench-mesh`: brings Istio up on a cluster of one node, measures in it, prints a table, writes
// bench/mesh-results.json, and takes the cluster down. Arguments: sections of measure-mesh.ts; all where none is given.
import { loadImages, step } from '../../test/harness/cluster/e2e-suite.ts';

process.env['CLUSTER'] ||= 'bench-mesh';
const CLUSTER = 'tools/cluster/cluster-command.ts';

// The child gets an interruption too. After it has ended, this program takes the cluster down.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {});
try {
  const made = (await step('node', 'tools/mesh/mesh-up.ts')) || (await loadImages());
  const measure = ['node', 'bench/mesh/measure-mesh.ts', ...process.argv.slice(2)];
  process.exitCode = made || (await step('node', CLUSTER, 'run', '--', measure));
} finally {
  await step('node', CLUSTER, 'down');
}
