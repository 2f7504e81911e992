// Random rulesets that one release's programs write and another's read.
import { fileURLToPath } from 'node:url';
import { type Pair, pinNeighbours } from '../harness/netns/namespaces.ts';
import { SHAPER } from '../harness/random-rulesets/observer.ts';
import type { Comparison } from '../harness/random-rulesets/worker.ts';
import { makeWrappers } from './userland.ts';

const WORKER = fileURLToPath(new URL('../harness/random-rulesets/worker.ts', import.meta.url));
const COUNT = 40;
const LIMIT = 240_000;
/** Positional arguments: two trees, then the program. In a mount namespace of its own. */
const MOUNTS = `set -e
for tree in "$1" "$2"; do
  mount --rbind /proc "$tree/proc"
  mount --rbind /dev "$tree/dev"
done
shift 2
exec "$@"`;

/**
 * Compares the verdict with the kernel.
 * @param writer tree of the release whose programs write the rules, and `reader` of that whose programs read them
 * @param folder for what is needed meanwhile
 */
export async function compareUserlands(
  pair: Pair,
  writer: string,
  reader: string,
  folder: string,
): Promise<Comparison[]> {
  const { pod, gateway } = pair;
  await pinNeighbours(pair);
  await gateway.must('nft', ['-f', '-'], { input: SHAPER });
  const path = process.env['PATH'] ?? '';
  const env = {
    PATH: `${await makeWrappers(`${folder}/readers`, reader)}:${path}`,
    WRITERS: `${await makeWrappers(`${folder}/writers`, writer)}:${path}`,
  };
  const mounted = ['--mount', '--propagation', 'private', 'sh', '-c', MOUNTS, 'sh', writer, reader];
  const command = [process.execPath, WORKER, gateway.name, '1', String(COUNT)];
  const worker = pod.start('unshare', [...mounted, ...command], { env: { ...process.env, ...env } });
  const { exitCode, stdout, stderr } = await worker.end(LIMIT);
  if (exitCode !== 0) throw new Error(`the worker ended with ${exitCode} after "${stdout.slice(-200)}": ${stderr}`);
  const lines = stdout.split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as Comparison);
}
