// Runs a program to its end: arguments as an array, a time limit, and an error that shows what it printed.
import { type SpawnSyncOptions, spawnSync } from 'node:child_process';

const LIMIT = 900_000;
const OUTPUT = 256 * 1024 * 1024;

type Options = Pick<SpawnSyncOptions, 'cwd' | 'env'> & { limit?: number };

/** What it printed, or undefined where it could not be run, failed, or took more than `limit` milliseconds. */
export function tryRun(command: string, args: string[], { limit = LIMIT, ...options }: Options = {}) {
  const ended = spawnSync(command, args, {
    ...options,
    timeout: limit,
    maxBuffer: OUTPUT,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return ended.status === 0 ? ended.stdout.toString().trim() : undefined;
}

/** What it printed to standard output. @throws with the end of all that it printed, where it fails. */
export function run(command: string, args: string[], { limit = LIMIT, ...options }: Options = {}): string {
  const ended = spawnSync(command, args, {
    ...options,
    timeout: limit,
    maxBuffer: OUTPUT,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (ended.status === 0) return ended.stdout.toString().trim();
  const printed = `${ended.stdout ?? ''}${ended.stderr ?? ''}`.trim().split('\n').slice(-40).join('\n');
  const why = ended.error?.message ?? `exit code ${ended.status}, signal ${ended.signal}`;
  throw new Error(`${command} ${args.slice(0, 4).join(' ')} ...: ${why}\n${printed}`);
}
