// `make bench-cluster`: brings a cluster of one node up, measures in it, prints a table, writes
// bench/cluster-results.json, and takes the cluster down. Exit 0 if all could be measured, also where a goal was not
// reached. Arguments: sections of measure-cluster.ts; all where none is given.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { makeProgress } from '../../test/harness/progress-line.ts';
import { openCluster } from '../../tools/cluster/cluster.ts';
import { readSettings } from '../../tools/cluster/cluster-settings.ts';
import { IMAGES } from '../../tools/images/image-sources.ts';

const REGISTRY = process.env['REGISTRY'] || 'localhost/invalid-drop';
/** Of the whole. */
const LIMIT = 28 * 60_000;
/** A cluster of its own, beside any other that is up. */
const NAME = process.env['CLUSTER'] || 'bench';

const cluster = openCluster(readSettings({ ...process.env, CLUSTER: NAME }));
const tell = makeProgress(process.stderr);
const controller = new AbortController();
const interrupt = () => controller.abort(new Error('interrupted'));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, interrupt);

try {
  tell('cluster: up');
  await cluster.up(controller.signal);
  for (const image of IMAGES) await cluster.load(`.run/images/${image}.oci.tar`, `${REGISTRY}/${image}`);
  tell('');
  process.exitCode = controller.signal.aborted ? 130 : await measure();
} finally {
  tell('cluster: down');
  await cluster.down();
  tell('');
}

/** In the cluster's network. An interruption from a terminal reaches the child too. */
async function measure(): Promise<number> {
  const args = [
    'tools/cluster/cluster-command.ts',
    'run',
    '--',
    process.execPath,
    'bench/cluster/measure-cluster.ts',
    ...process.argv.slice(2),
  ];
  const env = { ...process.env, CLUSTER: NAME };
  const child = spawn(process.execPath, args, { stdio: 'inherit', env, timeout: LIMIT });
  controller.signal.addEventListener('abort', () => child.kill('SIGTERM'));
  const [code] = (await once(child, 'exit')) as [number | null];
  return code ?? 1;
}
