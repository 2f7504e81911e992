// Debian's archive: which lines name a release, and packages of it without touching the machine's own lists.
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { must } from '../harness/netns/processes.ts';

const MIRROR = 'http://deb.debian.org/debian';
/** Milliseconds for a download. */
const LIMIT = 600_000;

/** Lines for sources.list: a release and its security updates. */
export function sourcesOf(suite: string): string[] {
  return [`deb ${MIRROR} ${suite} main`, `deb ${MIRROR}-security ${suite}-security main`];
}

/** Lines for sources.list: packages of later releases, made for this one. */
export function backportsOf(suite: string): string[] {
  return [`deb ${MIRROR} ${suite}-backports main`];
}

/** What an archive is asked. */
export interface Archive {
  /** The package that a metapackage depends on, of those that `pattern` matches. */
  dependency(metapackage: string, pattern: RegExp): Promise<string>;
  /** @returns paths of the .deb files. apt checks the archive's signature and the files' hashes */
  download(packages: string[]): Promise<string[]>;
}

/** Reads the lists of an archive. @param folder where apt may keep them, and where downloaded files go */
export async function openArchive(
  folder: string,
  { lines, architecture }: { lines: string[]; architecture: string },
): Promise<Archive> {
  await mkdir(`${folder}/lists/partial`, { recursive: true });
  await mkdir(`${folder}/cache/archives/partial`, { recursive: true });
  const configuration = `${folder}/apt.conf`;
  const sources = `${folder}/sources.list`;
  await writeFile(`${folder}/status`, '');
  await writeFile(sources, `${lines.join('\n')}\n`);
  await writeFile(configuration, settings(folder, sources, architecture));
  const env = { ...process.env, APT_CONFIG: configuration };
  const apt = (program: string, ...args: string[]) => must(program, args, { cwd: folder, env, limit: LIMIT });
  await apt('apt-get', 'update', '--quiet=2');
  return {
    async dependency(metapackage, pattern) {
      const printed = await apt('apt-cache', 'depends', '--important', metapackage);
      const names = [...printed.matchAll(/Depends: (\S+)/g)].map(([, name = '']) => name);
      const wanted = names.find((name) => pattern.test(name));
      if (!wanted) throw new Error(`${metapackage} depends on nothing that matches ${pattern}: ${printed}`);
      return wanted;
    },
    async download(packages) {
      await apt('apt-get', 'download', '--quiet=2', ...packages);
      const files = (await readdir(folder)).filter((name) => name.endsWith('.deb'));
      if (files.length !== packages.length) throw new Error(`apt-get left ${files.join()} of ${packages.join()}`);
      return files.map((name) => `${folder}/${name}`);
    },
  };
}

/** The apt.conf of an apt that has only `sources`, and that writes only to `folder`. */
function settings(folder: string, sources: string, architecture: string): string {
  const lines = {
    'Dir::Etc::sourcelist': sources,
    'Dir::Etc::sourceparts': '/dev/null',
    'Dir::State::lists': `${folder}/lists`,
    'Dir::State::status': `${folder}/status`,
    'Dir::Cache': `${folder}/cache`,
    'APT::Architecture': architecture,
    'APT::Architectures': architecture,
    'APT::Sandbox::User': 'root',
    'Acquire::Languages': 'none',
  };
  return Object.entries(lines)
    .map(([name, value]) => `${name} "${value}";\n`)
    .join('');
}
