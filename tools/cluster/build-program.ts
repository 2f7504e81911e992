// Builds programs from a pinned Go module, and keeps them outside the tree under the hash of what they are made from.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
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
  /**
   * A file of a required module that is compiled as part of a package of ours: path below the directory to the module and
   * the path in it. For what a package does not export, where the whole of it would take minutes to build.
   */
  borrowed?: Map<string, { module: string; path: string }>;
}

/** What `go version` prints; empty where there is no Go. */
const goVersion = async () => (await run('go', ['version'])).stdout.trim();

/** Whether Go is installed. */
export const hasGo = async (): Promise<boolean> => (await goVersion()) !== '';

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
  const go = await goVersion();
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
async function hashOf({ directory, packages, borrowed = new Map() }: Module, flags: string[]): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify([flags, ...borrowed]));
  const sources: string[] = [];
  const folders = [
    ...[...packages.values()].filter((path) => path.startsWith('.')),
    ...[...borrowed.keys()].map(dirname),
  ];
  for (const own of folders) {
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
    // Asked by SIGINT, Go removes its own temporary files.
    const limits = { limit: BUILD_LIMIT, timeout: BUILD_LIMIT, signal, killSignal: 'SIGINT' } as const;
    const go = async (...args: string[]) => {
      const command = [`CGO_ENABLED=${module.cgoTags ? 1 : 0}`, 'go', ...args];
      const { exitCode, stdout, stderr } = await run('env', command, { cwd: module.directory, ...limits });
      signal.throwIfAborted();
      if (exitCode !== 0) throw errors.CLUSTER_BUILD_FAILED(names.join(', '), stderr.slice(-2000));
      return stdout;
    };
    const overlay: Record<string, string> = {};
    for (const [own, { module: from, path }] of module.borrowed ?? []) {
      await go('mod', 'download', from);
      const folder = (await go('list', '-m', '-f', '{{.Dir}}', from)).trim();
      overlay[`${module.directory}/${own}`] = `${folder}/${path}`;
    }
    const borrowing = module.borrowed ? ['-overlay', `${work}/overlay.json`] : [];
    await writeFile(`${work}/overlay.json`, JSON.stringify({ Replace: overlay }));
    await go('build', ...flags, ...borrowing, '-o', `${work}/`, ...packages);
    for (const name of names) await rename(`${work}/${name}`, `${directory}/bin/${name}`);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
