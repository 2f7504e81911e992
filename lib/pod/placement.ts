// What guards the pods of a namespace: two containers in each pod, or the agent of their node.
import { CHECKER_CONTAINER, INIT_CONTAINER, type NodeMode, OPT_IN_LABEL, OPT_IN_VALUES } from '../contract.ts';
import { hasContainer, type PodView } from './pod-view.ts';

/** pod: two containers in the pod. node: the agent of the pod's node. */
export type Placement = 'pod' | 'node';

/** Whether a namespace with these labels is opted in, whatever guards its pods. */
export function isOptedIn(labels: Record<string, string> | undefined): boolean {
  return OPT_IN_VALUES.some((value) => labels?.[OPT_IN_LABEL] === value);
}

/**
 * @param labels of the namespace
 * @returns what guards new pods of an opted-in namespace; `missing`: the label asks for agents, and there are none
 */
export function placementOf(
  labels: Record<string, string> | undefined,
  nodeMode: NodeMode,
): Placement | 'missing' | undefined {
  const value = OPT_IN_VALUES.find((one) => labels?.[OPT_IN_LABEL] === one);
  if (value === undefined || value === 'pod') return value;
  if (value === 'node') return nodeMode === 'disabled' ? 'missing' : 'node';
  return nodeMode === 'default' ? 'node' : 'pod';
}

/**
 * True where a container of the pod has one of our names. Such a pod is left to its containers for its life, whatever the
 * label of its namespace says: no pod is ever guarded by both.
 */
export function hasOwnContainers(pod: PodView): boolean {
  return hasContainer(pod, INIT_CONTAINER) || hasContainer(pod, CHECKER_CONTAINER);
}
