// Why a pod is left alone. The same words are in warnings, logs, metrics, coverage and the results of `guard`.
import { OPT_IN_LABEL, OWN_NAMESPACE } from '../contract.ts';
import { objectAt, objectsAt } from '../json.ts';
import type { Placement } from './placement.ts';
import { allContainers, type PodView, requiresNode } from './pod-view.ts';

/**
 * Why a pod is left alone: admission, coverage, `guard` and the agents share this table. Of several reasons the first
 * one counts. The last two depend on what guards the pods of its namespace. One sentence each, short: clients cut warnings of more than 120 characters.
 */
export const LEFT_ALONE_REASONS = {
  'protected-namespace': 'pods of invalid-drop-system and kube-system are never changed',
  'opted-out': 'the pod has invalid-drop.io/inject=disabled',
  'mirror-pod': 'a static pod cannot be changed through the API',
  windows: 'a Windows node has no netfilter',
  fargate: 'Fargate refuses NET_ADMIN, and runs no node agent',
  'virtual-node': 'a virtual node has no network namespace for the rule',
  gvisor: 'gVisor has a network stack of its own, without conntrack',
  'host-network': "the rule would apply to the node's network",
  'no-node-agents': 'its namespace asks for node agents, and there are none',
  'pod-security': 'Pod Security of its namespace refuses NET_ADMIN',
} as const;

export type LeftAloneReason = keyof typeof LEFT_ALONE_REASONS;

/**
 * What each reason means to a part that has more to say of it than the sentence.
 * @returns one entry for each reason, in the table's order
 */
export function leftAloneMeanings<T>(toMeaning: (text: string) => T): Record<LeftAloneReason, T> {
  const entries = Object.entries(LEFT_ALONE_REASONS).map(([reason, text]) => [reason, toMeaning(text)]);
  return Object.fromEntries(entries) as Record<LeftAloneReason, T>;
}

/** What is known of a pod's namespace; labels are undefined where they are not known. */
export interface NamespaceFacts {
  name: unknown;
  labels: Record<string, string> | undefined;
}

type Applies = (pod: PodView, namespace: NamespaceFacts, placement: Placement | 'missing') => boolean;

const APPLIES: Record<LeftAloneReason, Applies> = {
  'protected-namespace': (_, { name }) => isProtectedNamespace(name),
  'opted-out': isOptedOut,
  'mirror-pod': isMirrorPod,
  windows: isWindows,
  fargate: isOnFargate,
  'virtual-node': isOnVirtualNode,
  gvisor: ({ spec }) => GVISOR.some((name) => spec['runtimeClassName'] === name),
  'host-network': ({ spec }) => spec['hostNetwork'] === true,
  'no-node-agents': (_pod, _namespace, placement) => placement === 'missing',
  // An agent needs nothing in the pod.
  'pod-security': (_, { labels }, placement) => placement === 'pod' && forbidsNetAdmin(labels),
};
const IN_ORDER = Object.keys(LEFT_ALONE_REASONS) as LeftAloneReason[];

/** Reasons where what is to guard the pod is there. */
export type PodLeftAloneReason = Exclude<LeftAloneReason, 'no-node-agents'>;

/**
 * @param placement what is to guard the pod
 * @returns the first reason that applies; undefined where the pod may be guarded
 */
export function reasonToLeaveAlone(
  pod: PodView,
  namespace: NamespaceFacts,
  placement: Placement,
): PodLeftAloneReason | undefined;
export function reasonToLeaveAlone(...facts: Parameters<Applies>): LeftAloneReason | undefined;
export function reasonToLeaveAlone(...facts: Parameters<Applies>): LeftAloneReason | undefined {
  return IN_ORDER.find((reason) => APPLIES[reason](...facts));
}

/** A webhook that blocks its own pods, or the cluster's, cannot be repaired through the cluster. */
const PROTECTED_NAMESPACES = [OWN_NAMESPACE, 'kube-system'];
const OS_LABELS = ['kubernetes.io/os', 'beta.kubernetes.io/os'];
/** Names of runtime classes: the handler behind a name is not visible in the pod. */
const GVISOR = ['gvisor', 'runsc'];
const ENFORCE_LABEL = 'pod-security.kubernetes.io/enforce';

export function isProtectedNamespace(namespace: unknown): boolean {
  return PROTECTED_NAMESPACES.some((name) => name === namespace);
}

/** The annotation, or the label of the same name: object selectors of a webhook configuration see only labels. */
function isOptedOut(pod: PodView): boolean {
  return pod.annotations?.[OPT_IN_LABEL] === 'disabled' || pod.labels[OPT_IN_LABEL] === 'disabled';
}

/** The kubelet's copy of a static pod: the pod runs already, and a change to the copy changes nothing. */
function isMirrorPod(pod: PodView): boolean {
  return pod.annotations !== undefined && Object.hasOwn(pod.annotations, 'kubernetes.io/config.mirror');
}

/**
 * By `spec.os` (Kubernetes 1.24 and later), by the nodes that it requires, or by options that only Windows has where
 * nothing says Linux.
 */
function isWindows(pod: PodView): boolean {
  const os = objectAt(pod.spec, 'os')['name'];
  if (os === 'windows' || requiresNode(pod, OS_LABELS, 'windows')) return true;
  if (os === 'linux' || requiresNode(pod, OS_LABELS, 'linux')) return false;
  const has = (one: unknown) => Object.keys(objectAt(one, 'securityContext', 'windowsOptions')).length > 0;
  return has(pod.spec) || allContainers(pod).some(has);
}

/** By the scheduler and the label that EKS gives such a pod, or by the nodes that it requires. */
function isOnFargate(pod: PodView): boolean {
  const { schedulerName } = pod.spec;
  if (schedulerName === 'fargate-scheduler' || Object.hasOwn(pod.labels, 'eks.amazonaws.com/fargate-profile'))
    return true;
  return requiresNode(pod, ['eks.amazonaws.com/compute-type'], 'fargate');
}

/**
 * By the nodes that it requires, or by the toleration of such nodes: nobody tolerates them by name who does not mean
 * to run there, and there the container would keep the pod from starting.
 */
function isOnVirtualNode(pod: PodView): boolean {
  if (requiresNode(pod, ['type'], 'virtual-kubelet')) return true;
  return objectsAt(pod.spec, 'tolerations').some(({ key }) => key === 'virtual-kubelet.io/provider');
}

/**
 * True where Pod Security would refuse a pod with NET_ADMIN: any enforce level but privileged, for an unknown level
 * counts as restricted there.
 * @param labels the namespace's labels; unknown labels count as allowed
 */
export function forbidsNetAdmin(labels: Record<string, string> | undefined): boolean {
  const level = labels?.[ENFORCE_LABEL];
  return level !== undefined && level !== 'privileged';
}

/** What the comparison of the pod's containers with ours may find (own-containers.ts). */
export const FOREIGN_CONTAINER_REASONS = {
  'name-taken': 'a container under a name of ours has another image',
  altered: 'a container of ours is not as the webhook builds it',
} as const;

/** Reason of an admission that changes nothing, to the sentence that a user reads. */
export const SKIP_REASONS = {
  'not-a-pod-creation': 'the webhook handles only the creation of Pods; check the webhook rules',
  'unreadable-pod': 'metadata, spec or containers do not have the form of a Pod',
  ...LEFT_ALONE_REASONS,
  ...FOREIGN_CONTAINER_REASONS,
  'already-injected': 'the pod has our containers, or the readiness gate, already',
  'internal-error': "the webhook failed; see the webhook's log",
} as const;

export type SkipReason = keyof typeof SKIP_REASONS;

/**
 * The warning that goes with a skip.
 * @returns undefined for already-injected: such a pod is guarded, and every reinvocation would repeat the warning
 */
export function skipWarning(reason: SkipReason): string | undefined {
  if (reason === 'already-injected') return undefined;
  return `invalid-drop: not guarded: ${reason}: ${SKIP_REASONS[reason]}`;
}
