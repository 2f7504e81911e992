import t from 'tap';
import { CHECK_COMMAND, type NodeMode } from '../../../lib/contract.ts';
import type { JsonObject } from '../../../lib/json.ts';
import { NO_POD_LEVEL } from '../../../lib/pod/pod-view.ts';
import { ephemeralContainer, readinessProbe } from '../../../webhook/admission/containers.ts';
import { REASONS, remedyFor } from '../../../webhook/coverage/coverage-reasons.ts';
import { type CoveredNamespace, podReason, STARTING_SECONDS } from '../../../webhook/coverage/pod-reason.ts';
import { createProjection } from '../../../webhook/coverage/pod-record.ts';
import { seenNamespace } from '../../../webhook/coverage/start-coverage.ts';
import { SETTINGS } from '../admission/injection-settings.ts';
import { at, gatedPod, IMAGE, injectedPod, NOW, OLDER, plainPod, sidecarPod } from './made-pods.ts';

const project = createProjection(IMAGE);
const OBSERVE = ephemeralContainer('', 'check', NO_POD_LEVEL, { ...SETTINGS.options, mode: 'observe' }, SETTINGS).env;
const OPTED_IN: CoveredNamespace = { optedInAt: NOW - 7200, forbidsNetAdmin: false, placement: 'pod' };

function reasonOf(pod: JsonObject, namespace: Partial<CoveredNamespace> = {}) {
  const seen = project(pod);
  return seen && podReason(seen.record, { ...OPTED_IN, ...namespace }, NOW);
}

/** The hook of the version before. */
const BEFORE = { postStart: { exec: { command: ['node', '--disable-sigusr1', '/opt/invalid-drop/wait.js'] } } };

const guardContainer = (name: string, image: string) =>
  ephemeralContainer(name, 'install', NO_POD_LEVEL, SETTINGS.options, { ...SETTINGS, image });
const ephemeral = (
  image: string,
  state: object,
  networkSince?: string,
  name = 'invalid-drop-guard-1',
  change: object = {},
) => ({
  spec: { containers: [{ name: 'app' }], ephemeralContainers: [{ ...guardContainer(name, image), ...change }] },
  status: {
    conditions: [{ type: 'PodReadyToStartContainers', status: 'True', lastTransitionTime: networkSince }],
    ephemeralContainerStatuses: [{ name, state }],
  },
});

const sysctls = (name: string, value = '1') => ({ securityContext: { sysctls: [{ name, value }] } });
const LIBERAL = sysctls('net.netfilter.nf_conntrack_tcp_be_liberal');

/** Pods that are liberal by a sysctl of their own, and pods that are not. */
const liberalCases: [string, JsonObject, Partial<CoveredNamespace>, string][] = [
  ['liberal by its sysctl', plainPod({ spec: LIBERAL }), {}, 'liberal-conntrack'],
  [
    'liberal, the name with slashes',
    plainPod({ spec: sysctls('net/netfilter/nf_conntrack_tcp_be_liberal') }),
    {},
    'liberal-conntrack',
  ],
  ['liberal, older than the label', plainPod({ created: NOW - 90_000, spec: LIBERAL }), {}, 'liberal-conntrack'],
  ['liberal, and NET_ADMIN is refused', plainPod({ spec: LIBERAL }), { forbidsNetAdmin: true }, 'liberal-conntrack'],
  ['liberal, and agents are missing', plainPod({ spec: LIBERAL }), { placement: 'missing' }, 'liberal-conntrack'],
  [
    'the sysctl is 0',
    plainPod({ spec: sysctls('net.netfilter.nf_conntrack_tcp_be_liberal', '0') }),
    {},
    'webhook-missed',
  ],
  ['another sysctl', plainPod({ spec: sysctls('net.netfilter.nf_conntrack_tcp_loose') }), {}, 'webhook-missed'],
  ['liberal, and guarded as well', injectedPod({ spec: LIBERAL }), {}, 'guarded'],
  [
    'liberal, and its checker is not Ready',
    injectedPod({ checker: 'running', spec: LIBERAL }),
    {},
    'checker-not-ready',
  ],
  [
    'liberal, and left alone on request',
    plainPod({ spec: LIBERAL, metadata: { labels: { 'invalid-drop.io/inject': 'disabled' } } }),
    {},
    'opted-out',
  ],
];

/** A pod of which an agent of its node has told what it saw. */
const looked = (status: string, reason: string) => gatedPod({ status, reason }, { spec: { readinessGates: null } });
const LOOKED = looked('True', 'LiberalConntrack');
const lookedAtCases: [string, JsonObject, Partial<CoveredNamespace>, string][] = [
  ['an agent has found it liberal', LOOKED, {}, 'liberal-conntrack'],
  ['found liberal, and NET_ADMIN is refused', LOOKED, { forbidsNetAdmin: true }, 'liberal-conntrack'],
  ['found liberal, and agents are missing', LOOKED, { placement: 'missing' }, 'liberal-conntrack'],
  ['found liberal, and an agent is to guard it', LOOKED, { placement: 'node' }, 'agent-waiting'],
  ['it is liberal no more', looked('False', 'StrictConntrack'), {}, 'webhook-missed'],
  ['found liberal without being True', looked('False', 'LiberalConntrack'), {}, 'agent-cannot-tell'],
];

const PLAIN_PROBE = readinessProbe('http', SETTINGS.options.port, 'container');

/** Pods with one container of ours, which installs and checks. */
const sidecarCases: [string, JsonObject, string][] = [
  ['one container, Ready', sidecarPod(), 'guarded'],
  ['one container of an older tag', sidecarPod({ image: OLDER }), 'guarded-by-older-version'],
  [
    'one container of an older tag, with its own hook',
    sidecarPod({ image: OLDER, change: { lifecycle: BEFORE } }),
    'guarded-by-older-version',
  ],
  ["one container of this tag, with an older one's hook", sidecarPod({ change: { lifecycle: BEFORE } }), 'altered'],
  ['one container that waits', sidecarPod({ is: 'waiting' }), 'starting'],
  ['its image is not pulled', sidecarPod({ is: 'unpulled' }), 'image-not-pulled'],
  [
    'its image is gone from a node of a pod that runs',
    sidecarPod({ is: 'unpulled', initialized: true }),
    'image-not-pulled',
  ],
  ['its install failed', sidecarPod({ is: 'ended' }), 'install-failed'],
  ['its hook failed', sidecarPod({ is: 'hook failed' }), 'install-failed'],
  ['its hook failed, and it ended well', sidecarPod({ is: 'ended by the kubelet' }), 'install-failed'],
  ['its install fails again and again', sidecarPod({ is: 'crashing', restarts: 3 }), 'install-failed'],
  ['it tries once more', sidecarPod({ is: 'again', restarts: 1 }), 'install-failed'],
  ['it was started once more, and guards', sidecarPod({ restarts: 4 }), 'guarded'],
  ['it runs and is not Ready', sidecarPod({ is: 'running' }), 'checker-not-ready'],
  ['it crashed in a pod that runs', sidecarPod({ is: 'ended', initialized: true }), 'starting'],
  ['it crashes in a pod that runs', sidecarPod({ is: 'crashing', initialized: true }), 'checker-not-ready'],
  [
    'it does not guard any more in a pod that runs',
    sidecarPod({ is: 'hook failed', initialized: true }),
    'checker-not-ready',
  ],
  ['its node was restarted', sidecarPod({ is: 'again', initialized: true, restarts: 1 }), 'starting'],
  ['one container that observes', sidecarPod({ mode: 'observe' }), 'observe-mode'],
  ['one container without the hook', sidecarPod({ change: { lifecycle: null } }), 'altered'],
  [
    'one container with another hook',
    sidecarPod({ change: { lifecycle: { postStart: { exec: { command: ['true'] } } } } }),
    'altered',
  ],
  [
    'the sidecar of the version before without its init container',
    sidecarPod({ change: { command: CHECK_COMMAND, lifecycle: null, readinessProbe: PLAIN_PROBE } }),
    'webhook-missed',
  ],
];

const cases: [string, JsonObject, Partial<CoveredNamespace>, string][] = [
  ...sidecarCases.map(([what, pod, reason]): [string, JsonObject, Partial<CoveredNamespace>, string] => [
    what,
    pod,
    {},
    reason,
  ]),
  ...liberalCases,
  ...lookedAtCases,
  ['both containers, the checker Ready', injectedPod(), {}, 'guarded'],
  [
    'an annotation that says so',
    plainPod({ metadata: { annotations: { 'invalid-drop.io/status': 'injected' } } }),
    {},
    'webhook-missed',
  ],
  ['a foreign image under our name', injectedPod({ image: 'evil/init-image:2.0.0' }), {}, 'name-taken'],
  ['a foreign checker beside our init container', injectedPod({ checkerImage: 'evil:1' }), {}, 'name-taken'],
  ['an older tag', injectedPod({ image: OLDER }), {}, 'guarded-by-older-version'],
  ['an older tag, not Ready', injectedPod({ image: OLDER, checker: 'running' }), {}, 'checker-not-ready'],
  [
    'a digest of the same repository',
    injectedPod({ image: `${OLDER.replace(':1.0.0', '')}@sha256:abc` }),
    {},
    'guarded-by-older-version',
  ],
  ['no checker, installed', injectedPod({ checker: 'none' }), {}, 'guarded-without-checker'],
  ['no checker, not installed yet', injectedPod({ checker: 'none', install: 'waiting' }), {}, 'starting'],
  ['not installed yet', injectedPod({ install: 'waiting', checker: 'waiting' }), {}, 'starting'],
  ['the image is not pulled', injectedPod({ install: 'unpulled', checker: 'waiting' }), {}, 'image-not-pulled'],
  ['the checker waits', injectedPod({ checker: 'waiting' }), {}, 'starting'],
  ['the checker runs since a moment', injectedPod({ checker: 'running', checkerSince: NOW - 5 }), {}, 'starting'],
  [
    'the checker runs and is not Ready',
    injectedPod({ checker: 'running', checkerSince: NOW - STARTING_SECONDS }),
    {},
    'checker-not-ready',
  ],
  ['the install failed', injectedPod({ install: 'failed', checker: 'waiting' }), {}, 'install-failed'],
  ['the install fails again and again', injectedPod({ install: 'crashing', checker: 'waiting' }), {}, 'install-failed'],
  [
    'the install runs again after its node was restarted',
    injectedPod({ install: 'again', checker: 'waiting', checkerRestarts: 1 }),
    {},
    'starting',
  ],
  [
    'the checker fails again and again',
    injectedPod({ checker: 'crashing', checkerRestarts: 1 }),
    {},
    'checker-not-ready',
  ],
  [
    'the checker runs once more after it has failed again and again',
    injectedPod({ checker: 'running', checkerSince: NOW - 1, checkerRestarts: 3 }),
    {},
    'checker-not-ready',
  ],
  [
    'the checker was restarted once',
    injectedPod({ checker: 'running', checkerSince: NOW - 1, checkerRestarts: 1 }),
    {},
    'starting',
  ],
  ['the checker is Ready after restarts', injectedPod({ checkerRestarts: 5 }), {}, 'guarded'],
  ['mode observe', injectedPod({ mode: 'observe' }), {}, 'observe-mode'],
  [
    'an ephemeral container that ended well',
    plainPod(ephemeral(IMAGE, { terminated: { exitCode: 0 } })),
    {},
    'guarded-while-running',
  ],
  [
    'an ephemeral container that ended well before the network was made anew',
    plainPod(ephemeral(IMAGE, { terminated: { exitCode: 0, finishedAt: at(NOW - 60) } }, at(NOW - 59))),
    {},
    'webhook-missed',
  ],
  [
    'an ephemeral container that ended well since',
    plainPod(ephemeral(IMAGE, { terminated: { exitCode: 0, finishedAt: at(NOW - 60) } }, at(NOW - 60))),
    {},
    'guarded-while-running',
  ],
  [
    'our image under a name of another kind, as for a look from inside',
    plainPod(ephemeral(IMAGE, { terminated: { exitCode: 0 } }, undefined, 'debugger-x7k2p')),
    {},
    'webhook-missed',
  ],
  ['an ephemeral container that runs still', plainPod(ephemeral(IMAGE, { running: {} })), {}, 'webhook-missed'],
  [
    'an ephemeral container that failed',
    plainPod(ephemeral(IMAGE, { terminated: { exitCode: 1 } })),
    {},
    'webhook-missed',
  ],
  ['a foreign ephemeral container', plainPod(ephemeral('evil', { terminated: { exitCode: 0 } })), {}, 'webhook-missed'],
  [
    'an ephemeral container that does something else',
    plainPod(ephemeral(IMAGE, { terminated: { exitCode: 0 } }, undefined, undefined, { args: ['--help'] })),
    {},
    'webhook-missed',
  ],
  [
    'an ephemeral container whose exit code is no verdict',
    plainPod(ephemeral(IMAGE, { terminated: { exitCode: 0 } }, undefined, undefined, { env: OBSERVE })),
    {},
    'webhook-missed',
  ],
  ['an install that does something else', injectedPod({ changeInit: { args: ['--help'] } }), {}, 'altered'],
  ['a checker that does something else', injectedPod({ changeChecker: { command: ['sleep'] } }), {}, 'altered'],
  [
    'an older tag that does something else',
    injectedPod({ image: OLDER, changeInit: { args: ['--mode', 'observe'] } }),
    {},
    'altered',
  ],
  [
    'an older version with another command line',
    injectedPod({ image: OLDER, changeInit: { command: ['node', '/opt/invalid-drop/install.js'] } }),
    {},
    'guarded-by-older-version',
  ],
  [
    'only the checker observes',
    injectedPod({ changeChecker: { env: OBSERVE, readinessProbe: null } }),
    {},
    'observe-mode',
  ],
  ['host network', plainPod({ spec: { containers: [{ name: 'app' }], hostNetwork: true } }), {}, 'host-network'],
  ['a static pod', plainPod({ metadata: { annotations: { 'kubernetes.io/config.mirror': 'x' } } }), {}, 'mirror-pod'],
  ['Windows', plainPod({ spec: { containers: [{ name: 'app' }], os: { name: 'windows' } } }), {}, 'windows'],
  ['Fargate', plainPod({ spec: { containers: [{ name: 'app' }], schedulerName: 'fargate-scheduler' } }), {}, 'fargate'],
  [
    'a virtual node',
    plainPod({ spec: { containers: [{ name: 'app' }], nodeSelector: { type: 'virtual-kubelet' } } }),
    {},
    'virtual-node',
  ],
  ['gVisor', plainPod({ spec: { containers: [{ name: 'app' }], runtimeClassName: 'gvisor' } }), {}, 'gvisor'],
  ['opted out by label', plainPod({ metadata: { labels: { 'invalid-drop.io/inject': 'disabled' } } }), {}, 'opted-out'],
  ['Pod Security', plainPod(), { forbidsNetAdmin: true }, 'pod-security'],
  ['a namespace of the cluster', plainPod({ metadata: { namespace: 'kube-system' } }), {}, 'protected-namespace'],
  ['guarded before Pod Security was set', injectedPod(), { forbidsNetAdmin: true }, 'guarded'],
  ...agentCases(),
  ['created in the second of the label', plainPod({ created: NOW - 7200 }), {}, 'created-before-opt-in'],
  ['created with the label there', plainPod({ created: NOW - 7199 }), {}, 'webhook-missed'],
  ['nobody can tell when the label was set', plainPod(), { optedInAt: undefined }, 'created-before-opt-in'],
];

/** Pods that the agent of their node guards, or is to guard. */
function agentCases(): [string, JsonObject, Partial<CoveredNamespace>, string][] {
  const node = { placement: 'node' as const };
  const guarded = { status: 'True', reason: 'Guarded' };
  const says = (status: string, reason: string, networkSince?: number) =>
    gatedPod({ status, reason }, networkSince === undefined ? {} : { networkSince });
  const observed = gatedPod(guarded, { spec: { readinessGates: null } });
  const own = injectedPod()['spec'] as JsonObject;
  return [
    ['an agent guards it', gatedPod(guarded), node, 'guarded-by-agent'],
    [
      'an agent guards it where Pod Security is strict',
      gatedPod(guarded),
      { ...node, forbidsNetAdmin: true },
      'guarded-by-agent',
    ],
    ['an agent guards it without a gate, as in mode observe', observed, node, 'guarded-by-agent'],
    ['an agent guarded it before the namespace was switched', gatedPod(guarded), {}, 'guarded-by-agent'],
    ['an agent guarded it, and agents are gone', gatedPod(guarded), { placement: 'missing' }, 'guarded-by-agent'],
    ['the agent says no', says('False', 'NotGuarded'), node, 'agent-not-guarded'],
    [
      'the agent says no of a pod without a gate',
      gatedPod({ status: 'False', reason: 'NotGuarded' }, { spec: { readinessGates: null } }),
      {},
      'agent-not-guarded',
    ],
    [
      'the agent says no, and holds nothing back as in mode observe',
      says('True', 'NotGuarded'),
      node,
      'agent-not-guarded',
    ],
    ['the agent cannot tell any more, and holds nothing back', says('True', 'CannotTell'), node, 'agent-cannot-tell'],
    ['the agent cannot tell', says('Unknown', 'CannotTell'), node, 'agent-cannot-tell'],
    ['a condition that no agent writes', says('True', 'Trusted'), node, 'agent-cannot-tell'],
    ['a reason that does not fit the status', says('False', 'Guarded'), node, 'agent-cannot-tell'],
    ['no agent has come', gatedPod(), node, 'agent-waiting'],
    ['no agent has come, for a moment', gatedPod(undefined, { networkSince: NOW - 5 }), node, 'starting'],
    [
      'no agent has come since a moment after the label',
      plainPod({ status: { podIP: '10.0.0.7', startTime: at(NOW - 900) } }),
      { ...node, optedInAt: NOW - 5 },
      'starting',
    ],
    [
      'no agent has come to a pod that ran before the label',
      plainPod({ status: { podIP: '10.0.0.7', startTime: at(NOW - 900) } }),
      { ...node, optedInAt: NOW - 60 },
      'agent-waiting',
    ],
    ['a gate that nobody serves, where containers guard', gatedPod(), {}, 'agent-waiting'],
    ['not scheduled yet', gatedPod(undefined, { status: { podIP: undefined } }), node, 'starting'],
    [
      'no network yet',
      gatedPod({ status: 'False', reason: 'NoNamespace' }, { status: { podIP: '' } }),
      node,
      'starting',
    ],
    ['the agent finds no namespace', says('False', 'NoNamespace'), node, 'agent-no-namespace'],
    ['the agent finds no namespace, for a moment', says('False', 'NoNamespace', NOW - 5), node, 'starting'],
    ['the agent has begun', says('False', 'Starting', NOW - 5), node, 'starting'],
    ['the agent has begun long ago', says('False', 'Starting'), node, 'agent-cannot-tell'],
    ['an agent has withdrawn, and the label is back', says('True', 'NotOptedIn'), node, 'agent-waiting'],
    ['no agents', plainPod(), { placement: 'missing' }, 'no-node-agents'],
    ['no agents, and Pod Security', plainPod(), { placement: 'missing', forbidsNetAdmin: true }, 'no-node-agents'],
    [
      'host network with a forged condition',
      gatedPod(guarded, { spec: { containers: [{ name: 'app' }], hostNetwork: true } }),
      node,
      'host-network',
    ],
    ['containers of ours in a namespace of agents', injectedPod(), node, 'guarded'],
    ['containers of ours, and a forged condition', gatedPod(guarded, { spec: own }), node, 'starting'],
    ['altered containers in a namespace of agents', injectedPod({ changeInit: { args: ['x'] } }), node, 'altered'],
    [
      'guarded by an ephemeral container',
      plainPod(ephemeral(IMAGE, { terminated: { exitCode: 0 } })),
      node,
      'guarded-while-running',
    ],
  ];
}

t.test('each pod has the reason that its containers and its namespace give it', async (t) => {
  for (const [name, pod, namespace, reason] of cases) t.equal(reasonOf(pod, namespace), reason, name);
});

t.test('every reason has a case', async (t) => {
  const covered = new Set(cases.map(([, , , reason]) => reason));
  t.strictSame(
    REASONS.filter((reason) => !covered.has(reason)),
    [],
  );
});

t.test(
  'the sentence of each reason to wait for an agent comes with a remedy, so that the owner gets an Event',
  async (t) => {
    for (const reason of REASONS.filter((each) => each.startsWith('agent-') || each === 'no-node-agents'))
      t.ok(remedyFor(reason), reason);
  },
);

t.test('what has ended, or is about to, is gone', async (t) => {
  t.equal(project(injectedPod())?.gone, false);
  t.equal(project(injectedPod({ status: { phase: 'Succeeded' } }))?.gone, true);
  t.equal(project(injectedPod({ status: { phase: 'Failed' } }))?.gone, true);
  t.equal(project(injectedPod({ metadata: { deletionTimestamp: at(NOW) } }))?.gone, true);
  t.equal(project({ metadata: {} }), undefined);
});

t.test('the owner is the controller, or the pod itself', async (t) => {
  const controller = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'store', uid: 'u', controller: true };
  const other = { apiVersion: 'v1', kind: 'Node', name: 'n', uid: 'v' };
  t.match(project(plainPod({ metadata: { ownerReferences: [other, controller] } }))?.owner, {
    kind: 'ReplicaSet',
    name: 'store',
    uid: 'u',
  });
  t.match(project(plainPod({ metadata: { ownerReferences: [other] } }))?.owner, { kind: 'Pod', name: 'store-0' });
});

t.test('pods that are alike share their facts', async (t) => {
  const [one, other] = [project(injectedPod({ name: 'a' })), project(injectedPod({ name: 'b' }))];
  t.ok(one !== undefined && one.record.facts === other?.record.facts);
});

t.test('a namespace is covered by its label, since the time that the API server remembers', async (t) => {
  const labels = { 'invalid-drop.io/inject': 'enabled' };
  const owns = { 'f:metadata': { 'f:labels': { 'f:invalid-drop.io/inject': {} } } };
  const managed = (...times: number[]) => times.map((time) => ({ time: at(time), fieldsV1: owns }));
  const covered = (metadata: JsonObject) =>
    seenNamespace({ metadata: { name: 'storage', ...metadata } }, 'disabled')?.covered;
  t.strictSame(covered({ labels, managedFields: managed(NOW, NOW - 60) }), {
    optedInAt: NOW - 60,
    forbidsNetAdmin: false,
    placement: 'pod',
  });
  t.strictSame(covered({ labels, managedFields: [{ time: at(NOW), fieldsV1: {} }] }), {
    optedInAt: undefined,
    forbidsNetAdmin: false,
    placement: 'pod',
  });
  t.match(covered({ labels: { ...labels, 'pod-security.kubernetes.io/enforce': 'restricted' } }), {
    forbidsNetAdmin: true,
  });
  t.equal(covered({ labels: { 'invalid-drop.io/inject': 'disabled' } }), undefined);
  t.equal(covered({}), undefined);
  t.equal(covered({ labels, deletionTimestamp: at(NOW) }), undefined, 'nothing can be written there any more');
  t.equal(seenNamespace({ metadata: { name: 'kube-system', labels } }, 'disabled')?.covered, undefined);
});

t.test('the label and the installation say what guards the pods of a namespace', async (t) => {
  const placement = (value: string, nodeMode: NodeMode) =>
    seenNamespace({ metadata: { name: 'storage', labels: { 'invalid-drop.io/inject': value } } }, nodeMode)?.covered
      ?.placement;
  t.equal(placement('node', 'available'), 'node');
  t.equal(placement('node', 'disabled'), 'missing');
  t.equal(placement('enabled', 'available'), 'pod');
  t.equal(placement('enabled', 'default'), 'node');
  t.equal(placement('pod', 'default'), 'pod');
});
