// What the images are made of: the working tree or a commit in a folder of its own, and their hash: images with the
// same hash are not built again.
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { must, run } from '../../test/harness/netns/processes.ts';

/** The images, each with its Containerfile in the folder of that name. */
export const IMAGES = ['init-image', 'webhook', 'node-agent'] as const;

/** Files and folders that the images are built from; .dockerignore names the same. */
export const SOURCES = [
  'LICENSE',
  'build.ts',
  'init-image',
  'lib',
  'node-agent',
  'package-lock.json',
  'package.json',
  'tsconfig.json',
  'webhook',
];

/** SHA-256 over the names and contents of the sources in `context`, and over `others`. */
export async function hashInputs(context: string, others: unknown): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify(others));
  const files = await Promise.all(SOURCES.map((source) => filesUnder(context, source)));
  for (const file of files.flat().sort()) {
    const content = await readFile(`${context}/${file}`);
    hash.update(`${file}\0${content.length}\0`).update(content);
  }
  return hash.digest('hex');
}

async function filesUnder(context: string, source: string): Promise<string[]> {
  const entries = await readdir(`${context}/${source}`, { recursive: true, withFileTypes: true }).catch(
    () => undefined,
  );
  if (!entries) return [source];
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => `${entry.parentPath.slice(context.length + 1)}/${entry.name}`);
}

export interface ImageSource {
  context: string;
  /** The last commit that changed what the images are made of; `-dirty` where the working tree differs from it. */
  revision: string;
}

/** @param commit what git understands as a commit; undefined for the working tree */
export async function findSource(root: string, commit: string | undefined, scratch: string): Promise<ImageSource> {
  const git = async (...args: string[]) => (await must('git', ['-C', root, ...args])).trim();
  if ((await run('git', ['-C', root, 'rev-parse', '--git-dir'])).exitCode !== 0)
    return { context: root, revision: 'unknown' };
  const revision = await git('log', '-1', '--format=%H', commit ?? 'HEAD', '--', ...SOURCES);
  if (commit === undefined) {
    const changed = (await git('status', '--porcelain', '--', ...SOURCES)) !== '';
    return { context: root, revision: changed ? `${revision}-dirty` : revision };
  }
  const context = `${scratch}/source`;
  await rm(context, { recursive: true, force: true });
  await mkdir(context, { recursive: true });
  await git('archive', '-o', `${scratch}/source.tar`, commit);
  await must('tar', ['-xf', `${scratch}/source.tar`, '-C', context]);
  return { context, revision };
}
