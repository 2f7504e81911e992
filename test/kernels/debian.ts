// Debian's archive: which lines name a release, and packages of it without touching the machine's own lists.
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { must } from '../kernel/processes.ts';

const MIRROR = 'http://deb.debian.org/debian';
/** Milliseconds for a download. */
const LIMIT = 600_000;

/** Lines for sources.list: a release and its security updates. */
export function sourcesOf(suite: string): string[] {
  return [`deb ${MIRROR} ${suite} main`, `deb ${MIRROR}-security ${suite}-security main`];
}

/**
 * Downloads the package that `metapackage` depends on. apt checks the archive's signature and the file's hash.
 * @param folder where apt may keep its lists, and where the file goes
 * @returns path of the .deb file
 */
export async function downloadNewest(
  folder: string,
  { suite, architecture, metapackage }: { suite: string; architecture: string; metapackage: string },
): Promise<string> {
  await mkdir(`${folder}/lists/partial`, { recursive: true });
  await mkdir(`${folder}/cache/archives/partial`, { recursive: true });
  const configuration = `${folder}/apt.conf`;
  const sources = `${folder}/sources.list`;
  await writeFile(`${folder}/status`, '');
  await writeFile(sources, `${sourcesOf(suite).join('\n')}\n`);
  await writeFile(configuration, settings(folder, sources, architecture));
  const env = { ...process.env, APT_CONFIG: configuration };
  const apt = (program: string, ...args: string[]) => must(program, args, { cwd: folder, env, limit: LIMIT });
  await apt('apt-get', 'update', '--quiet=2');
  const [, wanted] =
    (await apt('apt-cache', 'depends', '--important', metapackage)).match(/Depends: (linux-image\S+)/) ?? [];
  if (!wanted) throw new Error(`${metapackage} of ${suite} names no kernel`);
  await apt('apt-get', 'download', '--quiet=2', wanted);
  const file = (await readdir(folder)).find((name) => name.endsWith('.deb'));
  if (!file) throw new Error(`apt-get left no package of ${wanted}`);
  return `${folder}/${file}`;
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
