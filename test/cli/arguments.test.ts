import t from 'tap';
import { readArguments, splitCommand } from '../../cli/arguments.ts';
import { defineCommand } from '../../cli/cli-command.ts';
import { wholeNumber } from '../../lib/options.ts';

const command = defineCommand({
  name: 'look',
  summary: 'looks',
  usage: 'Usage: look',
  options: { times: wholeNumber(1, 9, { env: 'TIMES', help: 'How often.', default: 1 }) },
  switches: { wait: 'Waits.' },
  positionals: 1,
  run: async () => 0,
});
const read = (...argv: string[]) => readArguments(command, argv, {}) as unknown as Record<string, never>;

t.test('the command is the first argument that is no flag', async (t) => {
  t.strictSame(splitCommand(['status', '--wait']), { name: 'status', rest: ['--wait'] });
  t.strictSame(splitCommand(['-n', 'storage', 'coverage']), { name: 'coverage', rest: ['-n', 'storage'] });
  t.strictSame(splitCommand(['--context=a', 'explain', 'store-0']), {
    name: 'explain',
    rest: ['--context=a', 'store-0'],
  });
  t.strictSame(splitCommand(['--help']), { name: undefined, rest: ['--help'] });
});

t.test("kubectl's short flags, in each of its forms", async (t) => {
  for (const argv of [
    ['-n', 'storage'],
    ['-nstorage'],
    ['-n=storage'],
    ['--namespace=storage'],
    ['--namespace', 'storage'],
  ])
    t.match(read(...argv), { values: { namespace: 'storage' } }, argv.join(' '));
  t.match(read('-A', '-ojson', 'store-0', '--wait', '--times=3'), {
    values: { output: 'json', times: 3 },
    given: new Set(['all-namespaces', 'wait']),
    positionals: ['store-0'],
  });
  t.match(read('--', '--wait'), { positionals: ['--wait'] }, 'what follows -- is no flag');
});

t.test('what is wrong is refused, and the message says what to do', async (t) => {
  t.throws(() => read('--nonsense'), { code: 'OPTION_UNKNOWN', message: /"--nonsense".*--help/ });
  t.throws(() => read('-x'), { code: 'OPTION_UNKNOWN', message: /"-x"/ });
  t.throws(() => read('-n'), { code: 'OPTION_WITHOUT_VALUE', message: /^-n needs a value/ });
  t.throws(() => read('-o', 'xml'), { code: 'OPTION_INVALID', message: /"xml".*table or wide or json or yaml/ });
  t.throws(() => read('one', 'two'), { code: 'ARGUMENT_NOT_TAKEN', message: /"two"/ });
  t.match(read('one', 'two', '--help'), { given: new Set(['help']) }, 'help is given all the same');
});
