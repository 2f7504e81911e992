// Every reset of guarded pods, counted with its cause by agents that have the component `resets`.
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { apply } from '../harness/cluster/kubectl.ts';
import {
  agentMetrics,
  agentsReady,
  guardedByAgent,
  installNodeMode,
  nodeNamespace,
} from '../harness/cluster/node-agents.ts';
import { node, onNode, skipWithoutNode } from '../harness/cluster/node-side.ts';
import { restrictedPod } from '../harness/cluster/pod-status.ts';
import { install } from '../harness/cluster/webhook-installation.ts';
import { eventually } from '../harness/wait-until.ts';

const skip = skipWithoutNode;
const TRACEFS = '/sys/kernel/tracing';
/** kustomize takes components by relative paths only. */
const OVERLAY = fileURLToPath(new URL('../../.run/e2e-resets', import.meta.url));
const KUSTOMIZATION = `apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../../manifests/overlays/node]
components: [../../manifests/node-agent/resets]
`;
/** Of the discard service: nothing listens on it. */
const CLOSED_PORT = 9;
const RESETS = 5;
/** Tries to connect, one time after the other. */
const CONNECT = `const [host, port, times] = process.argv.slice(1);
const { connect } = require('node:net');
const next = (left) => left > 0 && connect({ host, port }).on('error', () => next(left - 1));
next(Number(times));`;

t.before(async () => {
  if (skip) return;
  // As systemd does on a node. On the first one only: both have the same kernel, whose resets one agent watches.
  await onNode('mount', '-t', 'tracefs', 'tracefs', TRACEFS);
  await mkdir(OVERLAY, { recursive: true });
  await writeFile(`${OVERLAY}/kustomization.yaml`, KUSTOMIZATION);
  await install(OVERLAY);
  await agentsReady();
});
t.teardown(async () => {
  if (skip) return;
  await rm(OVERLAY, { recursive: true, force: true });
  await installNodeMode();
  await onNode('umount', TRACEFS);
});

/** What the pod's agent has counted of one kind. */
async function resetsOf(nodeName: string, pod: string, kind: string): Promise<number> {
  const line = new RegExp(`^invalid_drop_resets_total\\{[^}]*pod="${pod}",kind="${kind}"\\} (\\d+)$`, 'm');
  return Number((await agentMetrics(nodeName)).match(line)?.[1] ?? 0);
}

t.test('resets of a guarded pod are counted for it, with their cause', { skip }, async (t) => {
  const namespace = await nodeNamespace(t);
  const { nodeName } = node();
  await apply(...['reset', 'quiet'].map((name) => restrictedPod(namespace, name, { nodeName })));
  const [pod] = await Promise.all(['reset', 'quiet'].map((name) => guardedByAgent(namespace, name)));
  await onNode(process.execPath, '-e', CONNECT, pod?.status.podIP ?? '', String(CLOSED_PORT), String(RESETS));
  const counted = await eventually(`${RESETS} resets are counted`, async () => {
    const resets = await resetsOf(nodeName, 'reset', 'closed-port');
    return resets >= RESETS && resets;
  });
  t.equal(counted, RESETS);
  t.equal(await resetsOf(nodeName, 'reset', 'this-bug'), 0);
  t.equal(await resetsOf(nodeName, 'quiet', 'closed-port'), 0);
});
