// The tree that is built: the working tree, or a commit in a folder of its own.
import { mkdir, rm } from 'node:fs/promises';
import { SOURCES } from './image-inputs.ts';
import { run, tryRun } from './run-program.ts';

export interface Source {
  context: string;
  /** The last commit that changed what the images are made of; `-dirty` where the working tree differs from it. */
  revision: string;
}

/** @param commit what git understands as a commit; undefined for the working tree */
export async function findSource(root: string, commit: string | undefined, scratch: string): Promise<Source> {
  const git = (...args: string[]) => run('git', ['-C', root, ...args]);
  if (tryRun('git', ['-C', root, 'rev-parse', '--git-dir']) === undefined)
    return { context: root, revision: 'unknown' };
  const revision = git('log', '-1', '--format=%H', commit ?? 'HEAD', '--', ...SOURCES);
  if (commit === undefined) {
    const changed = git('status', '--porcelain', '--', ...SOURCES) !== '';
    return { context: root, revision: changed ? `${revision}-dirty` : revision };
  }
  const context = `${scratch}/source`;
  await rm(context, { recursive: true, force: true });
  await mkdir(context, { recursive: true });
  git('archive', '-o', `${scratch}/source.tar`, commit);
  run('tar', ['-xf', `${scratch}/source.tar`, '-C', context]);
  return { context, revision };
}
