// Reaches into a pod from the node's side, as kubectl cannot: with every capability, and with the node's programs.
import { pidsInCgroups } from './cgroups.ts';
import { errors } from './cluster-errors.ts';
import { kubectl } from './enter.ts';
import type { Layout } from './layout.ts';

/**
 * Ids of a pod's processes, of all its containers and of the one that holds its namespaces.
 * @throws CodedError CLUSTER_POD_NOT_RUNNING
 */
export async function pidsOfPod(layout: Layout, namespace: string, pod: string): Promise<number[]> {
  const uid = await kubectl(layout, ['get', 'pod', pod, '--namespace', namespace, '--output=jsonpath={.metadata.uid}']);
  const pids = await pidsInCgroups(layout.cgroup, `pod${uid}`);
  if (pids.length === 0) throw errors.CLUSTER_POD_NOT_RUNNING(`${namespace}/${pod}`);
  return pids;
}

/** The command that runs a command in a pod's network namespace. */
export async function enterPod(layout: Layout, namespace: string, pod: string, command: string[]): Promise<string[]> {
  const [pid] = await pidsOfPod(layout, namespace, pod);
  return ['nsenter', '--target', `${pid}`, '--net', '--', ...command];
}
