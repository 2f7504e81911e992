import t from 'tap';
import { defineCommand } from '../../cli/cli-command.ts';
import { COMMANDS } from '../../cli/commands.ts';
import { commandHelp, runCommandLine } from '../../cli/run-command.ts';
import { answerError } from '../../lib/cluster/api-error.ts';

async function run(argv: string[], commands = COMMANDS) {
  const [printed, noted] = [[] as string[], [] as string[]];
  const code = await runCommandLine(argv, commands, {
    env: {},
    connect: () => Promise.reject(answerError(401, 'Unauthorized')),
    print: (text) => printed.push(text),
    note: (text) => noted.push(text),
    progress: undefined,
    stop: new AbortController().signal,
  });
  return { code, printed: printed.join(''), noted };
}

t.test('--help lists the commands, and of a command what it takes', async (t) => {
  for (const argv of [['--help'], ['-h'], ['help']]) {
    const { code, printed } = await run(argv);
    t.equal(code, 0);
    for (const { name, summary } of COMMANDS) t.match(printed, `${name} `, summary);
  }
  const { code, printed, noted } = await run(['status', '--help']);
  t.strictSame([code, noted], [0, []]);
  t.match(printed, /^Usage: kubectl invalid-drop status[\s\S]*--wait\n[\s\S]*--timeout \(/);
});

t.test('every command says how it is used, in lines that fit', async (t) => {
  for (const command of COMMANDS) {
    t.match(commandHelp(command), `Usage: kubectl invalid-drop ${command.name}`);
    t.ok(
      command.usage.split('\n').every((line) => line.length <= 140),
      command.name,
    );
  }
});

t.test('what is wrong ends with 2, in one line on standard error', async (t) => {
  t.match(await run([]), { code: 2, printed: '', noted: [/^COMMAND_NOT_NAMED: .*status, coverage/] });
  t.match(await run(['no\nse']), { code: 2, noted: [/^COMMAND_UNKNOWN: there is no command "no\\nse"/] });
  t.match(await run(['status']), { code: 2, printed: '', noted: [/^CREDENTIALS_REFUSED: /] });
  t.match(await run(['coverage', 'storage']), { code: 2, noted: [/^ARGUMENT_NOT_TAKEN: coverage .*"storage"/] });
});

t.test('a bug of ours is not hidden', async (t) => {
  const command = defineCommand({
    ...{ name: 'fails', summary: '', usage: '', options: {}, switches: {}, positionals: 0 },
    run: () => Promise.reject(new RangeError('unforeseen')),
  });
  t.match(await run(['fails'], [command]), { code: 2, noted: ['RangeError: unforeseen'] });
});
