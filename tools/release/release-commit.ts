// The commit that a release is made from.
import { must, run } from '../../test/harness/netns/processes.ts';
import { errors } from './release-errors.ts';

export interface ReleaseCommit {
  hash: string;
  /** The hash, and `-dirty` where the working tree differs from it. */
  label: string;
  /** Time of the commit, in UTC, as RFC 3339 has it. */
  time: string;
  dirty: boolean;
}

/** How many changed files an error names. */
const NAMED = 5;

/**
 * @param allowDirty whether the working tree may differ from the commit
 * @throws CodedError RELEASE_NO_COMMIT, RELEASE_DIRTY
 */
export async function findCommit(root: string, allowDirty: boolean): Promise<ReleaseCommit> {
  const head = await run('git', ['-C', root, 'log', '-1', '--format=%H %ct']);
  const [hash, seconds] = head.stdout.trim().split(' ');
  if (head.exitCode !== 0 || !hash) throw errors.RELEASE_NO_COMMIT(head.stderr.trim());
  const changed = (await must('git', ['-C', root, 'status', '--porcelain']))
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.slice(3));
  const dirty = changed.length > 0;
  if (dirty && !allowDirty) {
    const more = changed.length > NAMED ? ` and ${changed.length - NAMED} more` : '';
    throw errors.RELEASE_DIRTY(`${changed.slice(0, NAMED).join(', ')}${more}`);
  }
  const time = new Date(Number(seconds) * 1000).toISOString().replace('.000Z', 'Z');
  return { hash, label: dirty ? `${hash}-dirty` : hash, time, dirty };
}
