// A small Debian for each architecture, installed from its archive without running anything of it, so that any machine
// makes the roots of all architectures in the same way (mmdebstrap's mode chrootless).
import { createHash } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { folderOnce, keyOf } from '../../test/harness/cache-folder.ts';
import { must } from '../../test/harness/netns/processes.ts';
import { errors } from './release-errors.ts';
import type { Platform } from './release-list.ts';

const MIRROR = 'http://deb.debian.org';
const SUITE = 'bookworm';
/** Suites by their folder in the mirror. */
const SUITES = [`debian/dists/${SUITE}`, `debian-security/dists/${SUITE}-security`];
const SOURCES = [`deb ${MIRROR}/debian ${SUITE} main`, `deb ${MIRROR}/debian-security ${SUITE}-security main`];
const SCRIPT = fileURLToPath(new URL('../../init-image/image-root.sh', import.meta.url));
/** Milliseconds for a list of the archive. */
const ANSWER = 60_000;
/** An InRelease has 150 to 300 KB. */
const LARGEST_LIST = 4 * 1024 ** 2;
const LIMIT = 600_000;

/** A state of Debian's archive: what the signed lists of its suites say. */
export interface ArchiveState {
  lists: { url: string; date: string; sha256: string }[];
}

/** Asks the archive what it has now. apt checks the signatures when it installs. @throws CodedError RELEASE_PART_MISSING */
export async function readArchiveState(): Promise<ArchiveState> {
  const lists = await Promise.all(
    SUITES.map(async (suite) => {
      const url = `${MIRROR}/${suite}/InRelease`;
      const text = await fetchText(url).catch((error: Error) => {
        throw errors.RELEASE_PART_MISSING(url, `Debian's archive has to answer (${error.message})`);
      });
      const [, date = 'unknown'] = text.match(/^Date: (.+)$/m) ?? [];
      return { url, date, sha256: createHash('sha256').update(text).digest('hex') };
    }),
  );
  return { lists };
}

async function fetchText(url: string): Promise<string> {
  const response = await fetch(url, { signal: AbortSignal.timeout(ANSWER) });
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > LARGEST_LIST) throw new Error(`more than ${LARGEST_LIST} bytes`);
  }
  return text;
}

/**
 * Installs packages and what they depend on into a folder, once for each state of the archive.
 * @param packages names, in any order
 * @returns the folder, which must not be changed
 */
export async function makeDebianRoot(
  cache: string,
  state: ArchiveState,
  platform: Platform,
  packages: string[],
): Promise<string> {
  const options = [
    // The scripts of these packages know DPKG_ROOT, and write nothing outside it.
    ...['--quiet', '--mode=chrootless', '--variant=custom', `--architectures=${platform}`],
    ...['--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr', '--aptopt=Apt::Install-Recommends "false"'],
    `--include=${[...new Set([...packages, 'base-files'])].sort().join()}`,
  ];
  const key = keyOf([options, SOURCES, state]);
  const folder = await folderOnce(`${cache}/release-root-${platform}-${key}`, async (unfinished) => {
    await must('mmdebstrap', [...options, SUITE, `${unfinished}/tree`, ...SOURCES], { limit: LIMIT });
  });
  return `${folder}/tree`;
}

/** The root of an image from an installed Debian: image-root.sh, as in the Containerfile. @param root is made anew */
export async function makeImageRoot(debian: string, packages: string[], root: string): Promise<void> {
  await rm(root, { recursive: true, force: true });
  await mkdir(root, { recursive: true });
  await must('sh', [SCRIPT, root, ...packages], { env: { ...process.env, FROM: debian }, limit: LIMIT });
}
