import t from 'tap';
import {
  exitCodeOf,
  GUARD_OUTCOMES,
  type GuardOutcome,
  type GuardResult,
  resultLine,
  resultTable,
} from '../../../cli/guard/guard-outcomes.ts';

const result = (pod: string, outcome: GuardOutcome, detail = ''): GuardResult => ({
  namespace: 'storage',
  pod,
  outcome,
  detail,
});

t.test('a line for a pod, and at the end a table of all', async (t) => {
  const failed = result('store-1', 'install-failed', 'invalid-drop-guard-1: iptables is not installed');
  t.equal(
    resultLine(failed, 2, 12),
    '[2/12] storage/store-1: install-failed: the container ran, and INVALID packets are not dropped (invalid-drop-guard-1: iptables is not installed)',
  );
  t.equal(
    resultTable([result('store-0', 'guarded', 'by invalid-drop-guard-1'), result('a', 'host-network')]),
    `NAMESPACE  POD      OUTCOME       MEANING
storage    store-0  guarded       the rule is installed and verified (by invalid-drop-guard-1)
storage    a        host-network  the rule would apply to the node's network

1 of 2 pods are guarded
`,
  );
});

t.test('a dry run does not claim to have guarded anything', async (t) => {
  const table = resultTable([result('a', 'would-guard'), result('b', 'already-guarded')]);
  t.match(table, /\n2 of 2 pods are guarded, 1 of them only in a run without --dry-run\n$/);
});

t.test('a namespace without pods', async (t) => t.equal(resultTable([]), '0 of 0 pods are guarded\n'));

t.test('the exit code is 0 only if every pod is guarded', async (t) => {
  const codes = Object.fromEntries(
    (Object.keys(GUARD_OUTCOMES) as GuardOutcome[]).map((outcome) => [
      outcome,
      exitCodeOf([result('a', 'guarded'), result('b', outcome)]),
    ]),
  );
  const good = Object.keys(codes).filter((outcome) => codes[outcome] === 0);
  t.same(good, ['guarded', 'already-guarded', 'guarded-by-agent', 'would-guard']);
  t.equal(exitCodeOf([]), 0);
});

t.test('messages of others reach the terminal escaped, each in its line', async (t) => {
  const hostile = result('store-0', 'install-failed', 'x\u001b[2J\n[2/2] storage/store-1: guarded');
  t.match(resultLine(hostile, 1, 2), /\(x\\u001b\[2J\\n\[2\/2\] storage\/store-1: guarded\)$/);
  t.equal(resultTable([hostile]).split('\n').length, 5);
  t.notMatch(resultTable([hostile]), '\u001b');
});
