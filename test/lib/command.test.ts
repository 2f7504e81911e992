import t from 'tap';
import { runCommand } from '../../lib/command.ts';
import { memoryBudget } from '../../lib/memory-budget.ts';

const node = (program: string, options: Partial<Parameters<typeof runCommand>[2]> = {}) =>
  runCommand(process.execPath, ['-e', program], { timeout: 30_000, ...options });

t.test('exit code and both outputs come back, also where the code is not 0', async (t) => {
  const program = 'process.stdout.write("out"); process.stderr.write("err"); process.exitCode = 3';
  t.same(await node(program), { exitCode: 3, stdout: 'out', stderr: 'err' });
});

t.test('input is read to its end; without it there is none', async (t) => {
  const program = 'process.stdin.pipe(process.stdout)';
  t.match(await node(program, { input: 'rules\n' }), { exitCode: 0, stdout: 'rules\n' });
  t.match(await node(program), { exitCode: 0, stdout: '' });
});

t.test('a program that ends before it has read its input is no error', async (t) => {
  t.match(await node('process.exit(2)', { input: 'x'.repeat(10_000_000) }), { exitCode: 2 });
});

t.test('the environment is the one given', async (t) => {
  t.match(await node('console.log(process.env.XTABLES_LOCKFILE)', { env: { XTABLES_LOCKFILE: '/x' } }), {
    stdout: '/x\n',
  });
});

t.test('a program that is not there, or takes too long, is an error that names it', async (t) => {
  await t.rejects(runCommand('/no/such/program', [], { timeout: 1000 }), {
    code: 'COMMAND_MISSING',
    message: /\/no\/such\/program/,
  });
  await t.rejects(node('setInterval(() => {}, 1000)', { timeout: 300 }), {
    code: 'COMMAND_TIMEOUT',
    message: /300 ms/,
  });
});

t.test('a program that another one kills did not take too long', async (t) => {
  await t.rejects(node('process.kill(process.pid, "SIGKILL")'), { code: 'COMMAND_KILLED', message: /memory limit/ });
});

t.test('a program ends when its signal is given', async (t) => {
  const stop = new AbortController();
  const run = node('setInterval(() => {}, 1000)', { signal: stop.signal });
  stop.abort();
  await t.rejects(run, { name: 'AbortError' });
});

t.test('arguments are passed as they are: there is no shell', async (t) => {
  const { stdout } = await runCommand('printf', ['%s', '$(id); `id` && *'], { timeout: 30_000 });
  t.equal(stdout, '$(id); `id` && *');
});

t.test('a program that takes or prints more than its budget is ended, and that is said', async (t) => {
  const memory = { programs: 64 * 1024 ** 2, output: 1024 ** 2 };
  const perl = (script: string) => runCommand('perl', ['-e', script], { timeout: 60_000, memory });
  const grows = 'push @all, "x" x 1_000_000 for 1..300; sleep 60';
  await t.rejects(perl(grows), { code: 'COMMAND_TOO_LARGE', message: /^perl took more than 64\.0 MiB.*resources/ });
  await t.rejects(perl('print "x" x 1000 for 1..50_000'), {
    code: 'COMMAND_TOO_LARGE',
    message: /^perl printed more than 1\.0 /,
  });
  t.equal((await perl('print "x" x 1_000_000')).stdout.length, 1_000_000);
});

t.test('the largest of several programs is ended', async (t) => {
  const memory = { programs: 64 * 1024 ** 2, output: 1024 ** 2 };
  const small = runCommand('cat', [], { timeout: 60_000, memory, input: 'x' });
  const large = runCommand('perl', ['-e', 'push @all, "x" x 1_000_000 for 1..300; sleep 60'], {
    timeout: 60_000,
    memory,
  });
  await t.rejects(large, { code: 'COMMAND_TOO_LARGE' });
  t.equal((await small).stdout, 'x');
});

t.test('without a limit of the container there is no budget', async (t) => {
  const none = { programs: Number.POSITIVE_INFINITY, output: Number.POSITIVE_INFINITY };
  for (const limit of [0, 2 ** 63]) t.strictSame(memoryBudget(limit), none);
  const { programs, output } = memoryBudget(128 * 1024 ** 2);
  t.ok(programs > 40 * 1024 ** 2 && programs < 64 * 1024 ** 2 && output > 1024 ** 2);
});
