import t from 'tap';
import { namedTargets, readGuardArguments } from '../../../webhook/guard/guard-options.ts';

t.test('pods may stand anywhere among the flags', async (t) => {
  const argv = ['store-0', '--namespace', 'storage', '--stay', 'media/encoder-0', '--timeout=5m', 'store-1'];
  const { pods, values, given } = readGuardArguments(argv, {});
  t.same(pods, ['store-0', 'media/encoder-0', 'store-1']);
  t.match(values, {
    namespace: 'storage',
    timeout: '5m',
    concurrency: 5,
    'max-failures': 5,
    image: '',
    kubeconfig: '',
  });
  t.same([...given], ['stay']);
});

t.test('the kubeconfig is that of the environment, as for kubectl, unless it is named', async (t) => {
  t.equal(readGuardArguments([], { KUBECONFIG: '/a:/b' }).values.kubeconfig, '/a:/b');
  t.equal(readGuardArguments(['--kubeconfig=/c'], { KUBECONFIG: '/a:/b' }).values.kubeconfig, '/c');
});

t.test('wrong values are refused, all at once', async (t) => {
  const wrong = ['--namespace=Storage', '--concurrency=0', '--timeout=60', '--image=a b', 'store-0'];
  t.throws(() => readGuardArguments(wrong, {}), {
    code: 'OPTION_INVALID',
    message: /--namespace="Storage".*--image="a b".*--concurrency="0".*--timeout="60"/,
  });
  t.throws(() => readGuardArguments(['--force'], {}), { code: 'OPTION_UNKNOWN' });
  t.throws(() => readGuardArguments(['--', 'store-0'], {}), { code: 'OPTION_UNKNOWN' });
});

t.test('a pod is named with its namespace, or with --namespace; each counts once', async (t) => {
  t.same(namedTargets(['store-0', 'media/encoder-0', 'storage/store-0'], 'storage'), [
    { namespace: 'storage', pod: 'store-0' },
    { namespace: 'media', pod: 'encoder-0' },
  ]);
  t.same(namedTargets([], 'storage'), []);
  t.throws(() => namedTargets([], ''), { code: 'GUARD_TARGETS_MISSING' });
  for (const text of ['store-0', '/store-0', 'a/', 'a/b/c', 'a/../b', 'A/b', 'a/b?x=1', ''])
    t.throws(() => namedTargets([text], ''), { code: 'GUARD_TARGET_INVALID' }, text);
});
