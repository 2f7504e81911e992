import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { livingPid, writeRecord } from '../../../tools/cluster/cluster-processes.ts';
import { Program } from '../../harness/netns/processes.ts';

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
