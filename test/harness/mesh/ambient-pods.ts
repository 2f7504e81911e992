// Pods of Istio's ambient mode on the test's cluster, and the stand-in for ztunnel that serves them.
import type { Test } from 'tap';
import { enterNode } from '../../../tools/cluster/cluster-node.ts';
import { readSettings } from '../../../tools/cluster/cluster-settings.ts';
import { findAmbientPrograms } from '../../../tools/mesh/ambient-programs.ts';
import { kubectl } from '../cluster/kubectl.ts';
import { inPod, node } from '../cluster/node-side.ts';
import { getPod } from '../cluster/pod-status.ts';
import { plainNamespace } from '../cluster/test-workloads.ts';
import { Program } from '../netns/processes.ts';
import { eventually } from '../wait-until.ts';

/** Where istio-cni waits for ztunnel, as its chart mounts it (cni-ztunnel-sock-dir). */
const ZDS = '/var/run/ztunnel/ztunnel.sock';
const MODE = 'istio.io/dataplane-mode';
/** The annotation by which istio-cni says that a pod is in the ambient mode. */
const REDIRECTION = 'ambient.istio.io/redirection';

/** ztunnel's port in each pod to which HBONE is sent. */
export const HBONE = 15_008;

/**
 * Starts the stand-in on the node, where istio-cni sends it the pods of the ambient mode. No such pod starts before.
 * @returns the program, which is to be stopped
 */
export async function startZtunnel(): Promise<Program> {
  const { ztunnel } = await findAmbientPrograms(readSettings(process.env).cache);
  const [command = '', ...args] = await enterNode(node(), [ztunnel, '-zds', ZDS]);
  const program = new Program(command, args);
  await program.waitForOutput(/^stand-in for ztunnel: ready$/m);
  return program;
}

/** A namespace whose pods are in the ambient mode. @param labels beside that */
export function ambientNamespace(t: Test, labels: Record<string, string> = {}): Promise<string> {
  return plainNamespace(t, { [MODE]: 'ambient', ...labels });
}

/**
 * Takes a running pod into the ambient mode, or out of it, and waits until istio-cni is done: it puts its rules in before
 * ztunnel listens, and the annotation last.
 */
export async function setAmbient(namespace: string, pod: string, isAmbient: boolean): Promise<void> {
  await kubectl(['label', 'pod', pod, '-n', namespace, '--overwrite', `${MODE}=${isAmbient ? 'ambient' : 'none'}`]);
  await eventually(`${namespace}/${pod} is ${isAmbient ? '' : 'not '}in the ambient mode`, async () => {
    const { annotations } = (await getPod(namespace, pod)).metadata;
    return (annotations?.[REDIRECTION] === 'enabled') === isAmbient;
  });
}

/** Whether istio-cni's rules for the ambient mode are in the pod. */
export async function isRedirected(namespace: string, pod: string): Promise<boolean> {
  return /ISTIO_PRERT/.test(await inPod(namespace, pod, 'iptables-nft-save'));
}

/** Connections that the pod took without redirection because they are the kubelet's: istio-cni rewrites their source. */
export async function probesLetThrough(namespace: string, pod: string): Promise<number> {
  const printed = await inPod(namespace, pod, 'iptables-nft', '-t', 'nat', '-nvxL', 'ISTIO_PRERT');
  return Number(/^\s*(\d+) .* 169\.254\.7\.127 /m.exec(printed)?.[1] ?? 0);
}
