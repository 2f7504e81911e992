// The cache in real folders, with files as they come, go and are broken.
import { mkdir, rename, rm, symlink, truncate, unlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { CniCache } from '../../../node-agent/sandbox/cni-cache.ts';
import { must } from '../../harness/netns/processes.ts';
import { until } from '../../harness/wait-until.ts';
import { cacheFile } from './made-cache-file.ts';

interface Started {
  cache: CniCache;
  folder: string;
  changes: (string | null)[];
  events: string[];
  uids(): (string | null)[];
}

type Settings = ConstructorParameters<typeof CniCache>[0];

async function startCache(
  t: Test,
  files: Record<string, string> | null,
  settings: Partial<Settings> = {},
): Promise<Started> {
  const folder = join(t.testdir(files === null ? {} : { results: files }), 'results');
  const [changes, events]: [(string | null)[], string[]] = [[], []];
  const cache = new CniCache({
    folder,
    onChange: (uid) => changes.push(uid),
    log: (_, event) => events.push(event),
    checkPeriod: 20,
    ...settings,
  });
  await cache.start();
  t.teardown(() => cache.stop());
  const uids = () => cache.entries().map(({ podUid }) => podUid);
  return { cache, folder, changes, events, uids };
}

t.test('files that are there at the start have been read when it has started', async (t) => {
  const { uids, cache } = await startCache(t, {
    'a-1-eth0': cacheFile({ uid: 'a' }),
    'a-1-lo': cacheFile({ ifName: 'lo' }),
  });
  t.same(uids(), ['a'], 'without the loopback device');
  t.ok((cache.entries()[0]?.writtenAt ?? 0) > 0);
});

t.test('a file that comes, changes and goes is told with the UIDs that are concerned', async (t) => {
  const { folder, uids, changes } = await startCache(t, {});
  const path = join(folder, 'a-1-eth0');
  await writeFile(path, cacheFile({ uid: 'a' }));
  await until('it is read', () => uids().includes('a'));
  t.ok(changes.every((uid) => uid === 'a') && changes.length > 0);
  await writeFile(join(folder, 'other'), cacheFile({ uid: 'b' }));
  await rename(join(folder, 'other'), path);
  await until('it is read', () => uids().join() === 'b');
  changes.length = 0;
  await unlink(path);
  await until('it is gone', () => uids().length === 0);
  t.same([...new Set(changes)], ['b']);
});

t.test('a file that is half-written is read again when the rest comes', async (t) => {
  const { folder, uids, changes } = await startCache(t, {});
  const path = join(folder, 'a-1-eth0');
  const text = cacheFile({ uid: 'a' });
  await writeFile(path, text.slice(0, 100));
  await writeFile(join(folder, 'b-1-eth0'), cacheFile({ uid: 'b' }));
  await until('the next one is read', () => uids().includes('b'));
  t.same([...new Set(changes)], ['b']);
  await writeFile(path, text.slice(100), { flag: 'a' });
  await until('it is read', () => uids().includes('a'));
  await truncate(path, 50);
  await until('it is none any more', () => uids().join() === 'b');
});

t.test('what is no regular file, or is too large, is not read, and nothing waits for it', async (t) => {
  const { folder, uids } = await startCache(t, { good: cacheFile({ uid: 'a' }) });
  const elsewhere = join(t.testdirName, 'elsewhere');
  await writeFile(elsewhere, cacheFile({ uid: 'by-link' }));
  await symlink(elsewhere, join(folder, 'link'));
  await symlink('/dev/zero', join(folder, 'zero'));
  await symlink('link-loop', join(folder, 'link-loop'));
  await must('mkfifo', [join(folder, 'fifo')]);
  await mkdir(join(folder, 'folder'));
  await writeFile(join(folder, 'large'), cacheFile({ uid: 'large' }) + ' '.repeat(262_144));
  await writeFile(join(folder, 'empty'), '');
  await writeFile(join(folder, 'last'), cacheFile({ uid: 'b' }));
  await until('the last one is read', () => uids().includes('b'));
  t.same(uids().sort(), ['a', 'b']);
});

t.test('a folder that comes late, goes and is made anew is watched', async (t) => {
  const { folder, uids, changes, events } = await startCache(t, null);
  for (const uid of ['a', 'b']) {
    await mkdir(folder);
    await writeFile(join(folder, 'first'), cacheFile({ uid }));
    await until('the first file is read', () => uids().includes(uid));
    await writeFile(join(folder, 'second'), cacheFile({ uid: `${uid}2` }));
    await until('the second file is read', () => uids().includes(`${uid}2`));
    changes.length = 0;
    await rm(folder, { recursive: true });
    await until('they are gone', () => uids().length === 0);
    t.same([...new Set(changes)].sort(), [uid, `${uid}2`]);
  }
  await mkdir(folder);
  await rename(folder, `${folder}-away`);
  await mkdir(folder);
  await writeFile(join(folder, 'third'), cacheFile({ uid: 'c' }));
  await until('the file in the new folder is read', () => uids().join() === 'c');
  t.same(events, []);
});

t.test('the newest files are kept, and a folder that is too large is logged once', async (t) => {
  const old = Array.from({ length: 20 }, (_, index) => `old-${index}`);
  const files = Object.fromEntries(old.map((uid) => [`${uid}-eth0`, cacheFile({ uid })]));
  const { folder, uids, events } = await startCache(t, files, { lookPeriod: 20, limits: { names: 40, files: 10 } });
  const age = Date.now() / 1000 - 10_000;
  for (const [index, uid] of old.entries()) await utimes(join(folder, `${uid}-eth0`), age - index, age - index);
  const newest = [...old.slice(0, 9), 'new'].sort().join();
  await writeFile(join(folder, 'new-1-eth0'), cacheFile({ uid: 'new' }));
  await until('the newest are kept', () => uids().sort().join() === newest);
  t.same(events, []);
  for (let index = 0; index < 100; index++) {
    const litter = join(folder, `litter-${index}`);
    await writeFile(litter, '');
    // Dozens are written within one tick of the clock of files, and with what comes next: none of them may count as newer.
    await utimes(litter, age - old.length, age - old.length);
  }
  await until('it is logged', () => events.length > 0);
  await writeFile(join(folder, 'newest-1-eth0'), cacheFile({ uid: 'newest' }));
  await until('what comes is read all the same', () => uids().includes('newest'));
  await rm(join(folder, 'litter-99'));
  const marker = join(folder, 'marker-1-eth0');
  await writeFile(marker, cacheFile({ uid: 'marker' }));
  await until('it is looked at again', () => uids().includes('marker'));
  t.ok(uids().includes('newest'));
  t.same(events, ['cni-cache-too-large']);
});
