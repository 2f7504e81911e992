import t from 'tap';
import { planGuard } from '../../../cli/guard/guard-plan.ts';
import type { JsonObject } from '../../../lib/json.ts';
import { SETTINGS } from '../../webhook/admission/injection-settings.ts';
import { injectedPod, sidecarPod } from '../../webhook/coverage/made-pods.ts';
import { EARLIER, ENDED_WELL, type Ephemeral, LATER, runningPod } from './running-pod.ts';

const RUNNING = { running: { startedAt: LATER } };
const OLDER = SETTINGS.image.replace('1.0.0', '0.9.0');
const { image } = SETTINGS;

/** leave: the outcome. add: the containers' names, those that are there already with a question mark. */
function planned(pod: JsonObject, stay = false): string {
  const plan = planGuard(pod, SETTINGS, stay);
  if (plan.do === 'leave') return plan.outcome;
  return plan.steps.map(({ name, container }) => `${name}${container ? '' : '?'}`).join(' ');
}

const GATE = { readinessGates: [{ conditionType: 'invalid-drop.io/guarded' }] };
const HELP = { args: ['--help'] };
const withEphemeral = (...ephemeral: Ephemeral[]) => runningPod({ ephemeral });
const annotated = (name: string, value: string) => runningPod({ metadata: { annotations: { [name]: value } } });

const cases: [string, JsonObject, string][] = [
  ['a running pod', runningPod(), 'invalid-drop-guard-1'],
  ['no Pod', { metadata: {}, spec: {} }, 'unreadable-pod'],
  ['a pod of the cluster', runningPod({ namespace: 'kube-system' }), 'protected-namespace'],
  ['host network', runningPod({ spec: { hostNetwork: true } }), 'host-network'],
  ['a static pod', annotated('kubernetes.io/config.mirror', 'x'), 'mirror-pod'],
  ['Windows', runningPod({ spec: { os: { name: 'windows' } } }), 'windows'],
  ['opted out', annotated('invalid-drop.io/inject', 'disabled'), 'opted-out'],
  ['a wrong annotation', annotated('invalid-drop.io/protocol', 'udp'), 'wrong-annotation'],
  ['pending', runningPod({ status: { phase: 'Pending' } }), 'not-running'],
  ['ended', runningPod({ status: { phase: 'Succeeded' } }), 'not-running'],
  ['being deleted', runningPod({ metadata: { deletionTimestamp: LATER } }), 'being-deleted'],
  ['injected and Ready', sidecarPod({ image }), 'already-guarded'],
  ['injected, not Ready', sidecarPod({ image, is: 'running' }), 'invalid-drop-guard-1'],
  ['injected, in a crash loop', sidecarPod({ image, is: 'crashing', initialized: true }), 'invalid-drop-guard-1'],
  ['injected, and never initialized', sidecarPod({ image, is: 'crashing' }), 'not-running'],
  ['injected to observe', sidecarPod({ image, mode: 'observe' }), 'invalid-drop-guard-1'],
  ['injected by the version before, and Ready', injectedPod({ image }), 'already-guarded'],
  ['injected without a checker', injectedPod({ image, checker: 'none' }), 'already-guarded'],
  ['injected by another version', injectedPod({ image: OLDER }), 'already-guarded'],
  ['injected, the checker not Ready', injectedPod({ image, checker: 'running' }), 'invalid-drop-guard-1'],
  ['injected in mode observe', injectedPod({ image, mode: 'observe' }), 'invalid-drop-guard-1'],
  ['a foreign image under our names', injectedPod({ image: 'evil:1' }), 'invalid-drop-guard-1'],
  ['guarded before', withEphemeral({ name: 'invalid-drop-guard-1', state: ENDED_WELL }), 'already-guarded'],
  [
    'guarded before by another version',
    withEphemeral({ name: 'invalid-drop-guard-1', image: OLDER, state: ENDED_WELL }),
    'already-guarded',
  ],
  [
    'guarded before its network was made anew',
    withEphemeral({ name: 'invalid-drop-guard-1', state: { terminated: { exitCode: 0, finishedAt: EARLIER } } }),
    'invalid-drop-guard-2',
  ],
  [
    'failed before',
    withEphemeral({ name: 'invalid-drop-guard-1', state: { terminated: { exitCode: 1, finishedAt: LATER } } }),
    'invalid-drop-guard-2',
  ],
  ['one that waits for its image', withEphemeral({ name: 'invalid-drop-guard-3' }), 'invalid-drop-guard-3?'],
  [
    'one that waits for another image',
    withEphemeral({ name: 'invalid-drop-guard-3', image: OLDER }),
    'invalid-drop-guard-4',
  ],
  [
    "a foreign image under an ephemeral container's name",
    withEphemeral({ name: 'invalid-drop-guard-1', image: 'evil', state: ENDED_WELL }),
    'invalid-drop-guard-2',
  ],
  [
    'an ephemeral container of ours that did something else',
    withEphemeral({ name: 'invalid-drop-guard-1', state: ENDED_WELL, change: { args: ['--help'] } }),
    'invalid-drop-guard-2',
  ],
  ['a pod with the readiness gate, whatever its namespace', runningPod({ spec: GATE }), 'left-to-agent'],
  ['injected, with the readiness gate of a copied pod', injectedPod({ image, spec: GATE }), 'already-guarded'],
  ['containers of ours that do something else', injectedPod({ image, changeInit: HELP }), 'invalid-drop-guard-1'],
  [
    'our image under another name, as for a look from inside',
    withEphemeral({ name: 'debugger-x7k2p', state: ENDED_WELL }),
    'invalid-drop-guard-1',
  ],
];

t.test('a pod is left alone with a reason, or gets one container with a name that is free', async (t) => {
  for (const [what, pod, expected] of cases) t.equal(planned(pod), expected, what);
});

t.test('what guards the namespace counts for pods that nothing guards yet', async (t) => {
  const outcome = (pod: JsonObject) => {
    const plan = planGuard(pod, SETTINGS, true, 'node');
    return plan.do === 'leave' ? plan.outcome : plan.steps.map(({ name }) => name).join(' ');
  };
  t.equal(outcome(runningPod()), 'left-to-agent');
  t.equal(outcome(injectedPod({ image })), 'already-guarded');
  t.equal(outcome(runningPod({ spec: { hostNetwork: true } })), 'host-network');
  const installed = withEphemeral({ name: 'invalid-drop-guard-1', state: ENDED_WELL });
  t.equal(outcome(installed), 'invalid-drop-guard-checker-2', 'an agent leaves it alone');
});

t.test('what stands under our names and is not ours is told', async (t) => {
  const detailOf = (pod: JsonObject) => {
    const plan = planGuard(pod, SETTINGS, false);
    return plan.do === 'add' ? plan.detail : undefined;
  };
  t.equal(detailOf(runningPod()), '');
  t.equal(detailOf(injectedPod({ image, checker: 'running' })), '');
  t.equal(detailOf(injectedPod({ image, changeInit: HELP })), 'altered: invalid-drop-init: args');
  t.equal(detailOf(injectedPod({ image, checkerImage: 'evil:1' })), 'name-taken: invalid-drop-checker: image');
});

t.test('stay: the checker comes after the install, and only where there is none', async (t) => {
  t.equal(planned(runningPod(), true), 'invalid-drop-guard-1 invalid-drop-guard-checker-1');
  const installed = { name: 'invalid-drop-guard-1', state: ENDED_WELL };
  t.equal(planned(withEphemeral(installed), true), 'invalid-drop-guard-checker-2');
  const checker = (state: object) => ({ name: 'invalid-drop-guard-checker-1', state });
  t.equal(planned(withEphemeral(installed, checker(RUNNING)), true), 'already-guarded');
  const ended = withEphemeral(installed, checker({ terminated: { exitCode: 2, finishedAt: LATER } }));
  t.equal(planned(ended, true), 'invalid-drop-guard-checker-2');
  t.equal(planned(injectedPod({ image }), true), 'already-guarded');
  t.equal(planned(sidecarPod({ image }), true), 'already-guarded');
  t.equal(planned(sidecarPod({ image, is: 'running' }), true), 'invalid-drop-guard-1', 'its checker stays');
  t.equal(planned(injectedPod({ image, checker: 'none' }), true), 'invalid-drop-guard-checker-1');
});

t.test('an answer names the container of ours that has installed the rule', async (t) => {
  const guardedBy = (pod: JsonObject) => {
    const plan = planGuard(pod, SETTINGS, false);
    return plan.do === 'leave' ? plan.detail : undefined;
  };
  t.equal(guardedBy(sidecarPod({ image })), 'by its checker');
  t.equal(guardedBy(injectedPod({ image })), 'by its init container');
});

t.test('a checker that runs alone is no proof of a rule', async (t) => {
  t.equal(planned(withEphemeral({ name: 'invalid-drop-guard-checker-1', state: RUNNING })), 'invalid-drop-guard-2');
});

t.test('the container has what our init container has, and nothing that an ephemeral one may not have', async (t) => {
  const pod = runningPod({ metadata: { annotations: { 'invalid-drop.io/protocol': 'all' } } });
  const plan = planGuard(pod, SETTINGS, false);
  if (plan.do !== 'add') throw new Error(plan.outcome);
  t.same(plan.steps[0]?.container, {
    name: 'invalid-drop-guard-1',
    command: ['node', '--disable-sigusr1', '/opt/invalid-drop/install.js'],
    image,
    imagePullPolicy: 'IfNotPresent',
    env: [
      { name: 'INVALID_DROP_MODE', value: 'enforce' },
      { name: 'INVALID_DROP_PROTOCOL', value: 'all' },
      { name: 'INVALID_DROP_ON_DRIFT', value: 'repair' },
      { name: 'INVALID_DROP_RESCUE', value: 'enabled' },
    ],
    securityContext: {
      runAsUser: 0,
      runAsGroup: 0,
      runAsNonRoot: false,
      privileged: false,
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'], add: ['NET_ADMIN'] },
      seccompProfile: { type: 'RuntimeDefault' },
    },
    terminationMessagePolicy: 'FallbackToLogsOnError',
  });
});

t.test('in mode observe the install tells the verdict all the same, and only the checker observes', async (t) => {
  const plan = planGuard(annotated('invalid-drop.io/mode', 'observe'), SETTINGS, true);
  if (plan.do !== 'add') throw new Error(plan.outcome);
  t.match(
    plan.steps.map(({ container }) => container?.['env']),
    [[{ value: 'enforce' }], [{ value: 'observe' }]],
  );
});
