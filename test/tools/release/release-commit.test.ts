import { writeFile } from 'node:fs/promises';
import t from 'tap';
import { findCommit } from '../../../tools/release/release-commit.ts';
import { must } from '../../harness/netns/processes.ts';

const WHO = ['-c', 'user.name=a', '-c', 'user.email=a@example'];

t.test('a release is made from a commit; what differs from it is refused, or said', async (t) => {
  const folder = t.testdir({ a: 'a' });
  const git = (...args: string[]) =>
    must('git', ['-C', folder, ...WHO, ...args], {
      env: { ...process.env, GIT_COMMITTER_DATE: '2026-01-02T03:04:05Z' },
    });
  await git('init', '--quiet');
  await t.rejects(findCommit(folder, false), { code: 'RELEASE_NO_COMMIT' });
  await git('add', '.');
  await git('commit', '--quiet', '--message=a');
  const { hash, ...rest } = await findCommit(folder, false);
  t.match(hash, /^[0-9a-f]{40}$/);
  t.same(rest, { label: hash, time: '2026-01-02T03:04:05Z', dirty: false });
  await writeFile(`${folder}/b`, 'new');
  await t.rejects(findCommit(folder, false), { code: 'RELEASE_DIRTY', message: /\(b\): commit or stash/ });
  t.match(await findCommit(folder, true), { label: `${hash}-dirty`, dirty: true });
  for (const name of ['c', 'd', 'e', 'f', 'g']) await writeFile(`${folder}/${name}`, '');
  await t.rejects(findCommit(folder, false), { code: 'RELEASE_DIRTY', message: /\(b, c, d, e, f and 1 more\)/ });
});
