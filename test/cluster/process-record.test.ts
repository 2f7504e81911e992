import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { Program } from '../kernel/processes.ts';
import { livingPid, startIn, writeRecord } from './process-record.ts';

const directory = await mkdtemp(join(tmpdir(), 'process-record-'));
t.teardown(() => rm(directory, { recursive: true }));
const file = join(directory, 'record');

t.test('a process is known while it runs', async (t) => {
  const program = new Program('sleep', ['60']);
  t.teardown(() => program.stop('SIGKILL'));
  const pid = program.child.pid ?? 0;
  await writeRecord(file, pid);
  t.equal(await livingPid(file), pid);
  await program.stop();
  t.equal(await livingPid(file), undefined);
});

t.test('another process with the same id is not taken for it', async (t) => {
  await writeFile(file, JSON.stringify({ pid: process.pid, started: '1' }));
  t.equal(await livingPid(file), undefined);
});

t.test('a record that is missing or not yet written says nothing', async (t) => {
  t.equal(await livingPid(join(directory, 'none')), undefined);
  await writeFile(file, '');
  t.equal(await livingPid(file), undefined);
});

/** What /proc/PID/stat says of a process in a state, with so many threads. */
const stat = (state: string, threads: number) => `7 (a) (b) ${state}${' 0'.repeat(16)} ${threads} 0 4711 0 0`;

t.test('a process has ended when its last thread has', async (t) => {
  t.equal(startIn(stat('S', 1)), '4711');
  t.equal(startIn(stat('Z', 3)), '4711', 'the first thread has ended, and others hold the files');
  t.equal(startIn(stat('Z', 1)), undefined);
  t.equal(startIn(stat('X', 1)), undefined);
});
