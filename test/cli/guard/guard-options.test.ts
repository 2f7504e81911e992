import t from 'tap';
import { readArguments } from '../../../cli/arguments.ts';
import { guardCommand } from '../../../cli/guard/guard-command.ts';
import { namedPods, targetsOf } from '../../../cli/guard/guard-options.ts';

const read = (argv: string[], env = {}) => readArguments(guardCommand, argv, env) as unknown as Record<string, never>;

t.test('pods may stand anywhere among the flags', async (t) => {
  const argv = ['store-0', '--namespace', 'storage', '--stay', 'media/encoder-0', '--timeout=5m', 'store-1'];
  const { positionals, values, given } = read(argv);
  t.same(positionals, ['store-0', 'media/encoder-0', 'store-1']);
  t.match(values, {
    namespace: 'storage',
    timeout: '5m',
    concurrency: 5,
    'max-failures': 5,
    image: '',
    kubeconfig: '',
  });
  t.strictSame(given, new Set(['stay']));
});

t.test('wrong values are refused, all at once', async (t) => {
  const wrong = ['--namespace=Storage', '--concurrency=0', '--timeout=60', '--image=a b', 'store-0'];
  t.throws(() => read(wrong), {
    code: 'OPTION_INVALID',
    message: /--namespace="Storage".*--image="a b".*--concurrency="0".*--timeout="60"/,
  });
  t.throws(() => read(['--force']), { code: 'OPTION_UNKNOWN' });
});

t.test('a pod is named with its namespace, or is in that of the command; each counts once', async (t) => {
  t.same(targetsOf(namedPods(['store-0', 'media/encoder-0', 'storage/store-0']), 'storage'), [
    { namespace: 'storage', pod: 'store-0' },
    { namespace: 'media', pod: 'encoder-0' },
  ]);
  t.same(namedPods([]), []);
  for (const text of ['/store-0', 'a/', 'a/b/c', 'a/../b', 'A/b', 'a/b?x=1', ''])
    t.throws(() => namedPods([text]), { code: 'GUARD_TARGET_INVALID' }, text);
});
