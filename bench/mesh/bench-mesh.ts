// `make bench-mesh`: brings Istio up on a cluster of one node, measures in it, prints a table, writes
// bench/mesh-results.json, and takes the cluster down. Arguments: sections of measure.ts; all where none is given.
import { loadImages, step } from '../../test/harness/cluster/suite.ts';

process.env['CLUSTER'] ||= 'bench-mesh';
const CLUSTER = 'tools/cluster/cluster-command.ts';

// An interruption reaches the child too; then it is over, and what was made is removed.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {});
try {
  const made = (await step('node', 'tools/mesh/mesh-up.ts')) || (await loadImages());
  const measure = ['node', 'bench/mesh/measure-mesh.ts', ...process.argv.slice(2)];
  process.exitCode = made || (await step('node', CLUSTER, 'run', '--', measure));
} finally {
  await step('node', CLUSTER, 'down');
}
