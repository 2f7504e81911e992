import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import t from 'tap';
import { startDialogue } from '../../../lib/command.ts';
import { NftSession } from '../../../lib/netfilter/nft-session.ts';

/** A session with a program that stands in for nft: `answer` is called with the number of each question. */
function makeSession(answer: string, timeout = 30_000) {
  const started: ChildProcess[] = [];
  const program = `let n = 0; require('readline').createInterface(process.stdin).on('line', () => { n++; ${answer} })`;
  const session = new NftSession((onText, onTrouble) => {
    const child = startDialogue(process.execPath, ['-e', program], onText, onTrouble);
    started.push(child);
    return child;
  }, timeout);
  t.teardown(() => session.stop());
  return { session, started };
}

t.test('one process answers every question, in pieces or whole', async (t) => {
  const { session, started } = makeSession('process.stdout.write("{" + n); setImmediate(() => console.log("}"))');
  t.match(await session.list(), { exitCode: 0, stdout: '{1}\n' });
  t.match(await session.list(), { exitCode: 0, stdout: '{2}\n' });
  t.equal(started.length, 1);
});

t.test('a complaint, an end or silence is no answer, and the next question goes to a new process', async (t) => {
  for (const trouble of ['console.error("Error: no")', 'process.exit(1)']) {
    const { session, started } = makeSession(`if (n === 1) ${trouble}`);
    t.equal(await session.list(), undefined, trouble);
    t.equal(await session.list(), undefined, `${trouble}, again`);
    t.equal(started.length, 2);
  }
  const { session, started } = makeSession('', 50);
  t.equal(await session.list(), undefined);
  t.equal(await session.list(), undefined);
  t.equal(started.length, 2);
});

t.test('what comes unasked ends the session, so that no answer is taken for another', async (t) => {
  const { session, started } = makeSession('console.log(n)');
  t.match(await session.list(), { stdout: '1\n' });
  const [child] = started;
  if (!child) throw new Error('nothing was started');
  const end = once(child, 'exit');
  child.stdin?.write('a question that the session did not ask\n');
  await end;
  t.match(await session.list(), { stdout: '1\n' });
  t.equal(started.length, 2);
});

t.test(
  'an answer that holds a table with flags is the last of its process: nft may have broken its own memory',
  async (t) => {
    const table = '{"table": {"family": "ip", "name": "t", "handle": 1, "flags": ';
    const { session, started } = makeSession(`console.log(${JSON.stringify(table)} + n)`);
    t.match(await session.list(), { stdout: `${table}1\n` });
    t.match(await session.list(), { stdout: `${table}1\n` });
    t.equal(started.length, 2);
  },
);

t.test('two lines at once are no answer', async (t) => {
  const { session, started } = makeSession('process.stdout.write(n + "\\nlate\\n")');
  t.equal(await session.list(), undefined);
  t.equal(await session.list(), undefined);
  t.equal(started.length, 2);
});

t.test('a second question while one is open is not asked', async (t) => {
  const { session } = makeSession('console.log(n)');
  const first = session.list();
  t.equal(await session.list(), undefined);
  t.match(await first, { stdout: '1\n' });
});

t.test('a program that is not there is no answer', async (t) => {
  const session = new NftSession((onText, onTrouble) => startDialogue('/no/such/nft', [], onText, onTrouble), 30_000);
  t.equal(await session.list(), undefined);
});
