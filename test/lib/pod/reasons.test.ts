import t from 'tap';
import { planGuard } from '../../../cli/guard/guard-plan.ts';
import {
  LEFT_ALONE_REASONS,
  type LeftAloneReason,
  SKIP_REASONS,
  type SkipReason,
  skipWarning,
} from '../../../lib/pod/reasons.ts';
import { decide } from '../../../webhook/admission/admission.ts';
import { podReason } from '../../../webhook/coverage/pod-reason.ts';
import { createProjection } from '../../../webhook/coverage/pod-record.ts';
import { creationOf, SETTINGS } from '../../webhook/admission/injection-settings.ts';

const reasons = Object.keys(SKIP_REASONS) as SkipReason[];

t.test('every warning names its reason and is short enough that no client cuts it off', async (t) => {
  for (const reason of reasons.filter((each) => each !== 'already-injected')) {
    const warning = skipWarning(reason) ?? '';
    t.ok(warning.startsWith(`invalid-drop: not guarded: ${reason}: `), warning);
    t.ok(warning.length < 120, `${reason}: ${warning.length} characters`);
  }
});

t.test('an injected pod causes no warning when it comes again', async (t) => {
  t.equal(skipWarning('already-injected'), undefined);
});

t.test('of several reasons admission, coverage and guard name the same one, the first of the table', async (t) => {
  const order = Object.keys(LEFT_ALONE_REASONS) as LeftAloneReason[];
  for (const [first, ...later] of order.map((_, i) => order.slice(i))) {
    if (first === undefined) break;
    const pod = podWith([first, ...later]);
    const { namespace } = pod.metadata;
    const lacksAgents = [first, ...later].includes('no-node-agents');
    const labels = {
      'pod-security.kubernetes.io/enforce': 'restricted',
      'invalid-drop.io/inject': lacksAgents ? 'node' : 'pod',
    };
    const decision = decide(creationOf(pod, { namespace }), labels, SETTINGS);
    t.strictSame(decision, { result: 'skip', reason: first });
    const placement = lacksAgents ? 'missing' : 'pod';
    const record = createProjection(SETTINGS.image)(pod)?.record;
    t.equal(record && podReason(record, { optedInAt: 0, forbidsNetAdmin: true, placement }, 1), first, 'coverage');
    // `guard` looks at the pod alone.
    if (first !== 'pod-security' && first !== 'no-node-agents')
      t.match(planGuard(pod, SETTINGS, false), { do: 'leave', outcome: first });
  }
});

/** A pod to which these reasons apply, and Pod Security. */
function podWith(reasons: LeftAloneReason[]) {
  const has = (reason: LeftAloneReason) => reasons.includes(reason);
  return {
    metadata: {
      name: 'p',
      namespace: has('protected-namespace') ? 'kube-system' : 'storage',
      annotations: {
        ...(has('opted-out') && { 'invalid-drop.io/inject': 'disabled' }),
        ...(has('mirror-pod') && { 'kubernetes.io/config.mirror': 'x' }),
      },
    },
    spec: {
      containers: [{ name: 'app' }],
      ...(has('windows') && { os: { name: 'windows' } }),
      ...(has('fargate') && { schedulerName: 'fargate-scheduler' }),
      ...(has('virtual-node') && { tolerations: [{ key: 'virtual-kubelet.io/provider', operator: 'Exists' }] }),
      ...(has('gvisor') && { runtimeClassName: 'runsc' }),
      ...(has('host-network') && { hostNetwork: true }),
    },
    status: { phase: 'Running' },
  };
}
