import t from 'tap';
import { guardedCondition, hasGuardedGate } from '../../../lib/pod/guarded-condition.ts';
import { viewPod } from '../../../lib/pod/pod-view.ts';

function gated(readinessGates: unknown) {
  const pod = viewPod({ metadata: {}, spec: { containers: [{ name: 'app' }], readinessGates } });
  if (pod === undefined) throw new Error('not a pod');
  return hasGuardedGate(pod);
}

t.test('our readiness gate is found among others', async (t) => {
  t.ok(gated([{ conditionType: 'example.com/warm' }, { conditionType: 'invalid-drop.io/guarded' }]));
  for (const other of [undefined, null, [], [{ conditionType: 'example.com/warm' }], [{}]])
    t.notOk(gated(other), JSON.stringify(other));
});

t.test('our condition is read from the status, whatever stands there', async (t) => {
  const ours = {
    type: 'invalid-drop.io/guarded',
    status: 'False',
    reason: 'NotGuarded',
    message: 'a rule accepts them',
  };
  const conditions = [
    { type: 'Ready', status: 'True' },
    { ...ours, lastTransitionTime: '2026-01-01T00:00:10Z' },
  ];
  t.strictSame(guardedCondition({ conditions }), {
    status: 'False',
    reason: 'NotGuarded',
    message: 'a rule accepts them',
    since: 1767225610,
  });
  t.strictSame(guardedCondition({ conditions: [{ type: 'invalid-drop.io/guarded', status: 1, message: [] }] }), {
    status: '',
    reason: '',
    message: '',
    since: 0,
  });
  for (const status of [{}, { conditions: null }, { conditions: 'x' }, { conditions: [{ type: 'Ready' }] }])
    t.equal(guardedCondition(status), undefined, JSON.stringify(status));
});
