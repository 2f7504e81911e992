import t from 'tap';
import { childrenOf, parseCpuSeconds, parseMemory, readCpuSeconds, readMemory } from '../../bench/proc-numbers.ts';
import { Program } from '../harness/netns/processes.ts';

const ROLLUP = `55d0a7a00000-7ffe9c1c9000 ---p 00000000 00:00 0                          [rollup]
Rss:               53000 kB
Pss:               41000 kB
Shared_Clean:      30000 kB
Private_Clean:      1000 kB
Private_Dirty:     12000 kB
Anonymous:         11000 kB
LazyFree:              0 kB
`;

t.test('memory is read in bytes', async (t) => {
  t.same(parseMemory(ROLLUP), { rss: 53000 * 1024, anonymous: 11000 * 1024, private: 13000 * 1024 });
});

t.test('CPU time is user and system, own and that of children, whatever the name of the program', async (t) => {
  const stat = '42 (odd ) name) S 1 42 42 0 -1 4194560 900 800 7 6 100 20 3 4 20 0 11 0 5000';
  t.equal(parseCpuSeconds(stat), 1.27);
});

t.test('the numbers of a process that runs can be read, and its children are found', async (t) => {
  const program = new Program('sh', ['-c', 'sleep 60 & trap "kill $!" TERM; echo ready; wait']);
  t.teardown(() => program.stop());
  await program.waitForOutput(/ready/);
  const pid = program.child.pid ?? 0;
  const children = await childrenOf(pid);
  t.equal(children.length, 1);
  t.ok((await readMemory(pid)).anonymous > 0);
  t.ok((await readCpuSeconds(pid)) >= 0);
});
