// Builds programs from a pinned Go module, and keeps them outside the tree under the hash of what they are made from.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { run } from '../../test/harness/netns/processes.ts';
import { errors } from './cluster-errors.ts';

export interface Module {
  /** Where go.mod and go.sum are. */
  directory: string;
  /** Program name to Go package. */
  packages: Map<string, string>;
  /** Go variables that the linker sets. */
  variables: Record<string, string>;
  /** Build tags of programs that are partly in C; without them all is pure Go. */
  cgoTags?: string[];
}

const BUILD_LIMIT = 40 * 60_000;

/**
 * Builds those of the programs that are not in the cache.
 * @param cache directory
 * @returns program name to path
 * @throws CodedError CLUSTER_PROGRAM_MISSING where there is no Go, CLUSTER_BUILD_FAILED
 */
export async function buildMissing(
  module: Module,
  names: string[],
  cache: string,
  tell: (text: string) => void,
  signal: AbortSignal,
): Promise<Map<string, string>> {
  const go = (await run('go', ['version'])).stdout.trim();
  if (!go)
    throw errors.CLUSTER_PROGRAM_MISSING(
      names.join(', '),
      'Go 1.26 or later, which builds them, or set KUBEBUILDER_ASSETS',
    );
  const flags = flagsOf(module);
  const directory = `${cache}/tools/${await hashOf(module, [go, ...flags])}`;
  const paths = new Map(names.map((name) => [name, `${directory}/bin/${name}`]));
  const missing = [...paths].flatMap(([name, path]) => (existsSync(path) ? [] : [name]));
  if (missing.length > 0) {
    tell(`building ${missing.join(', ')}: some minutes, once`);
    await build(module, missing, flags, directory, signal);
  }
  return paths;
}

function flagsOf({ variables, cgoTags }: Module): string[] {
  const set = Object.entries(variables).map(([name, value]) => `-X ${name}=${value}`);
  const tags = cgoTags ? ['-tags', cgoTags.join(',')] : [];
  return ['-trimpath', '-buildvcs=false', '-ldflags', ['-s', '-w', ...set].join(' '), ...tags];
}

/** Of the flags, the pinned versions and the module's own sources. */
async function hashOf({ directory, packages }: Module, flags: string[]): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify(flags));
  const sources: string[] = [];
  for (const own of [...packages.values()].filter((path) => path.startsWith('.'))) {
    const files = (await readdir(`${directory}/${own}`)).filter((file) => file.endsWith('.go'));
    sources.push(...files.sort().map((file) => `${own}/${file}`));
  }
  for (const file of ['go.mod', 'go.sum', ...sources]) hash.update(await readFile(`${directory}/${file}`));
  return hash.digest('hex').slice(0, 16);
}

/** Builds beside the cache and moves into it, so that it never holds half a program. */
async function build(module: Module, names: string[], flags: string[], directory: string, signal: AbortSignal) {
  await mkdir(`${directory}/bin`, { recursive: true });
  const work = await mkdtemp(`${directory}/build-`);
  try {
    const packages = names.map((name) => module.packages.get(name) ?? name);
    const command = [`CGO_ENABLED=${module.cgoTags ? 1 : 0}`, 'go', 'build', ...flags, '-o', `${work}/`, ...packages];
    // Asked by SIGINT, Go removes its own temporary files.
    const limits = { limit: BUILD_LIMIT, timeout: BUILD_LIMIT, signal, killSignal: 'SIGINT' } as const;
    const { exitCode, stderr } = await run('env', command, { cwd: module.directory, ...limits });
    signal.throwIfAborted();
    if (exitCode !== 0) throw errors.CLUSTER_BUILD_FAILED(names.join(', '), stderr.slice(-2000));
    for (const name of names) await rename(`${work}/${name}`, `${directory}/bin/${name}`);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
