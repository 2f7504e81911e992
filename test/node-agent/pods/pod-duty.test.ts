// What the agent does for a pod, as a table: from what the API server has of it to its duty.
import t from 'tap';
import {
  CHECKER_CONTAINER,
  GUARD_CONTAINER,
  GUARDED_CONDITION,
  INIT_CONTAINER,
  type NodeMode,
  OPT_IN_LABEL,
} from '../../../lib/contract.ts';
import type { JsonObject } from '../../../lib/json.ts';
import { podProjection, projectNamespace } from '../../../node-agent/pods/node-pod.ts';
import { dutyOf } from '../../../node-agent/pods/pod-duty.ts';
import { type MadePod, madePod, NODE } from '../node-api.ts';

const CONFIGURED = {
  ...({ mode: 'enforce', protocol: 'tcp', onDrift: 'repair' } as const),
  ...({ rescue: 'enabled', beLiberal: 'enabled' } as const),
};
const project = podProjection(NODE, CONFIGURED);

/** A status with our condition. */
const said = (status: string, reason: string): JsonObject => ({
  phase: 'Running',
  conditions: [{ type: GUARDED_CONDITION, status, reason, message: '', lastTransitionTime: '2026-01-01T00:00:00Z' }],
});
const GUARDED = said('True', 'Guarded');
const NOT_OPTED_IN = said('True', 'NotOptedIn');
const LIBERAL = said('True', 'LiberalConntrack');
const OWN = { initContainers: [{ name: INIT_CONTAINER, image: 'x' }] };

interface Case {
  name: string;
  label?: string;
  nodeMode?: NodeMode;
  pod?: Partial<MadePod>;
  guardedHere?: boolean;
  duty: 'guard' | 'withdraw' | 'look' | 'leave' | 'leave and settle';
}

const CASES: Case[] = [
  { name: 'no label', duty: 'leave' },
  { name: 'label node', label: 'node', duty: 'guard' },
  { name: 'label node, with the gate', label: 'node', pod: { gate: true }, duty: 'guard' },
  { name: 'label pod', label: 'pod', duty: 'look' },
  { name: 'label enabled where agents are available', label: 'enabled', duty: 'look' },
  { name: 'label enabled where agents are the default', label: 'enabled', nodeMode: 'default', duty: 'guard' },
  { name: 'label of another value', label: 'yes', duty: 'leave' },

  { name: 'label removed, guarded here', guardedHere: true, duty: 'withdraw' },
  { name: 'label removed while the agent was down', pod: { status: GUARDED }, duty: 'withdraw' },
  { name: 'label removed, not guarded when last seen', pod: { status: said('False', 'NotGuarded') }, duty: 'withdraw' },
  { name: 'label removed, and withdrawn', pod: { status: NOT_OPTED_IN }, duty: 'leave' },
  {
    name: 'label removed, withdrawn, with the gate',
    pod: { status: NOT_OPTED_IN, gate: true },
    duty: 'leave and settle',
  },
  { name: 'label set again', label: 'node', pod: { status: NOT_OPTED_IN }, duty: 'guard' },

  { name: 'switched to pod while guarded', label: 'pod', pod: { status: GUARDED }, guardedHere: true, duty: 'guard' },
  { name: 'switched to pod, agent started again', label: 'pod', pod: { status: GUARDED }, duty: 'guard' },
  { name: 'switched to pod before its first condition', label: 'pod', pod: { gate: true }, duty: 'guard' },
  { name: 'label pod, found liberal', label: 'pod', pod: { status: LIBERAL }, duty: 'look' },
  { name: 'label pod, liberal no more', label: 'pod', pod: { status: said('False', 'StrictConntrack') }, duty: 'look' },
  { name: 'label removed, found liberal', pod: { status: LIBERAL }, duty: 'leave' },
  { name: 'switched to node, found liberal', label: 'node', pod: { status: LIBERAL }, duty: 'guard' },
  {
    name: 'label removed after it was switched to node, found liberal',
    pod: { status: LIBERAL },
    guardedHere: true,
    duty: 'withdraw',
  },
  { name: 'label pod, and withdrawn before', label: 'pod', pod: { status: NOT_OPTED_IN }, duty: 'guard' },
  { name: 'label pod, with its own containers', label: 'pod', pod: { spec: OWN }, duty: 'leave' },
  { name: 'label pod, host network', label: 'pod', pod: { spec: { hostNetwork: true } }, duty: 'leave' },
  { name: 'label pod, ended', label: 'pod', pod: { status: { phase: 'Failed' } }, duty: 'leave' },
  {
    name: 'label pod, opted out',
    label: 'pod',
    pod: { annotations: { [OPT_IN_LABEL]: 'disabled' } },
    duty: 'leave',
  },
  { name: 'switched to node with its own containers', label: 'node', pod: { spec: OWN }, duty: 'leave' },
  {
    name: 'its own checker as a container',
    label: 'node',
    pod: { spec: { containers: [{ name: 'app' }, { name: CHECKER_CONTAINER }] } },
    duty: 'leave',
  },
  {
    name: 'own containers in a copy of a pod with the gate',
    label: 'pod',
    pod: { spec: { ...OWN, readinessGates: [{ conditionType: GUARDED_CONDITION }] } },
    duty: 'leave and settle',
  },
  {
    name: 'guarded while it ran, by an ephemeral container',
    label: 'node',
    pod: ephemeral(0),
    duty: 'leave',
  },
  { name: 'an ephemeral container that failed', label: 'node', pod: ephemeral(1), duty: 'guard' },

  { name: 'the gate without opt-in', pod: { gate: true }, duty: 'leave and settle' },
  { name: 'ended', label: 'node', pod: { status: { phase: 'Succeeded' } }, guardedHere: true, duty: 'leave' },
  { name: 'failed', label: 'node', pod: { status: { phase: 'Failed' } }, guardedHere: true, duty: 'leave' },
  {
    name: 'being deleted, still running',
    label: 'node',
    pod: { metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } },
    duty: 'guard',
  },
  { name: "a Job's pod that runs", label: 'node', pod: { spec: { restartPolicy: 'Never' } }, duty: 'guard' },
  { name: 'before its sandbox', label: 'node', pod: { status: { phase: 'Pending' } }, duty: 'guard' },

  { name: 'opted out', label: 'node', pod: { annotations: { [OPT_IN_LABEL]: 'disabled' } }, duty: 'leave' },
  {
    name: 'opted out while guarded',
    label: 'node',
    pod: { annotations: { [OPT_IN_LABEL]: 'disabled' } },
    guardedHere: true,
    duty: 'withdraw',
  },
  { name: 'host network', label: 'node', pod: { spec: { hostNetwork: true } }, duty: 'leave' },
  {
    name: 'host network with the gate',
    label: 'node',
    pod: { spec: { hostNetwork: true }, gate: true },
    duty: 'leave and settle',
  },
  {
    name: 'mirror pod',
    label: 'node',
    pod: { annotations: { 'kubernetes.io/config.mirror': 'x' } },
    duty: 'leave',
  },
  { name: 'Windows', label: 'node', pod: { spec: { os: { name: 'windows' } } }, duty: 'leave' },
  { name: 'kube-system', label: 'node', pod: { namespace: 'kube-system' }, duty: 'leave' },
  { name: 'our own namespace', label: 'node', pod: { namespace: 'invalid-drop-system' }, duty: 'leave' },
];

function ephemeral(exitCode: number): Partial<MadePod> {
  const name = `${GUARD_CONTAINER}-1`;
  const terminated = { exitCode, finishedAt: '2026-01-01T00:00:00Z' };
  return {
    spec: { ephemeralContainers: [{ name, image: 'x' }] },
    status: { phase: 'Running', ephemeralContainerStatuses: [{ name, state: { terminated } }] },
  };
}

for (const { name, label, nodeMode = 'available', pod = {}, guardedHere = false, duty } of CASES) {
  t.test(name, async (t) => {
    const seen = project(madePod({ name: 'p', ...pod, ...(pod.gate && { spec: gated(pod.spec) }) }));
    const labels = label === undefined ? undefined : { [OPT_IN_LABEL]: label };
    if (seen === undefined) throw new Error('not kept');
    const found = dutyOf(seen, { labels, nodeMode, guardedHere });
    t.equal(found.kind === 'leave' && found.settle ? 'leave and settle' : found.kind, duty);
  });
}

function gated(spec: JsonObject | undefined): JsonObject {
  return { ...spec, readinessGates: [{ conditionType: GUARDED_CONDITION }] };
}

t.test('of a Pod little is kept, and nothing of other nodes', async (t) => {
  t.equal(project(madePod({ name: 'p', spec: { nodeName: 'node-2' } })), undefined);
  t.equal(project({ kind: 'Pod', metadata: { name: 'p', uid: 'u' } }), undefined);
  const annotations = { 'invalid-drop.io/mode': 'maybe\u001b[2J', 'invalid-drop.io/be-liberal': 'disabled' };
  const kept = project(madePod({ name: 'p', uid: 'u', addresses: ['10.0.0.1', 'fd00::1'], annotations }));
  t.match(kept, { uid: 'u', namespace: 'shop', name: 'p', addresses: ['10.0.0.1', 'fd00::1'], gate: false });
  t.strictSame(kept?.options, { ...CONFIGURED, beLiberal: 'disabled' });
  t.match(kept?.wrong, /invalid-drop.io\/mode="maybe\\u001b\[2J" is not allowed: use enforce or observe/);
  const many = Array.from({ length: 100 }, (_, index) => `10.0.0.${index}`);
  t.equal(project(madePod({ name: 'p', addresses: many }))?.addresses.length, 8);
});

t.test('of a Namespace only our label is kept', async (t) => {
  t.strictSame(projectNamespace({ metadata: { name: 'shop', labels: { [OPT_IN_LABEL]: 'node', team: 'x' } } }), {
    name: 'shop',
    labels: { [OPT_IN_LABEL]: 'node' },
  });
  t.strictSame(projectNamespace({ metadata: { name: 'shop' } }), { name: 'shop', labels: {} });
  t.equal(projectNamespace({}), undefined);
});
