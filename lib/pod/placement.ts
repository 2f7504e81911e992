// What guards the pods of a namespace: containers in each pod, or the agent of their node.
import { CHECKER_CONTAINER, INIT_CONTAINER, type NodeMode, OPT_IN_LABEL, OPT_IN_VALUES } from '../contract.ts';
import { hasGuardedGate } from './guarded-condition.ts';
import { hasContainer, type PodView } from './pod-view.ts';

/** pod: containers in the pod. node: the agent of the pod's node. */
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

/**
 * What is to guard a pod that is being created in an opted-in namespace. Precedence, decided here and nowhere else: a
 * container of ours in the pod; our readiness gate, which an earlier pass of the same admission may have added; the
 * namespace's label. Where labels are not known, or older than the label, agents are the choice if there are any: they
 * guard each pod with the gate, and a pod with the gate fits into every namespace. Containers do not.
 * @param labels of the namespace; undefined where they are not known
 */
export function placementOfNewPod(
  pod: PodView,
  labels: Record<string, string> | undefined,
  nodeMode: NodeMode,
): Placement | 'missing' {
  const hasAgents = nodeMode !== 'disabled';
  if (hasOwnContainers(pod)) return 'pod';
  if (hasAgents && hasGuardedGate(pod)) return 'node';
  return placementOf(labels, nodeMode) ?? (hasAgents ? 'node' : 'pod');
}
