import t from 'tap';
import { runCommand } from '../../lib/command.ts';

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

t.test('arguments are passed as they are: there is no shell', async (t) => {
  const { stdout } = await runCommand('printf', ['%s', '$(id); `id` && *'], { timeout: 30_000 });
  t.equal(stdout, '$(id); `id` && *');
});
