// One question about a Pod or its namespace each. All pure.
import { OPT_IN_LABEL, OWN_NAMESPACE } from '../../lib/contract.ts';
import { isObject } from '../../lib/json.ts';
import type { PodView } from './pod-view.ts';

/** Namespaces that are never touched: a webhook that stops its own pods, or the cluster's, cannot be mended. */
const PROTECTED_NAMESPACES = [OWN_NAMESPACE, 'kube-system'];
const OS_LABELS = ['kubernetes.io/os', 'beta.kubernetes.io/os'];
const ENFORCE_LABEL = 'pod-security.kubernetes.io/enforce';

export function isProtectedNamespace(namespace: unknown): boolean {
  return PROTECTED_NAMESPACES.some((name) => name === namespace);
}

/** The annotation, or the label of the same name: object selectors of a webhook configuration see only labels. */
export function isOptedOut(pod: PodView): boolean {
  return pod.annotations?.[OPT_IN_LABEL] === 'disabled' || pod.labels[OPT_IN_LABEL] === 'disabled';
}

/** The kubelet's copy of a static pod: the pod runs already, and a change to the copy changes nothing. */
export function isMirrorPod(pod: PodView): boolean {
  return pod.annotations !== undefined && Object.hasOwn(pod.annotations, 'kubernetes.io/config.mirror');
}

/** By `spec.os` (Kubernetes 1.24 and later) or by the node selector. */
export function isWindows(pod: PodView): boolean {
  const { os, nodeSelector } = pod.spec;
  if (isObject(os) && os['name'] === 'windows') return true;
  return isObject(nodeSelector) && OS_LABELS.some((label) => nodeSelector[label] === 'windows');
}

export function usesHostNetwork(pod: PodView): boolean {
  return pod.spec['hostNetwork'] === true;
}

/**
 * True where Pod Security would refuse a pod with NET_ADMIN: any enforce level but privileged, for an unknown level
 * counts as restricted there.
 * @param labels the namespace's labels, or undefined where they are not known; unknown counts as allowed
 */
export function forbidsNetAdmin(labels: Record<string, string> | undefined): boolean {
  const level = labels?.[ENFORCE_LABEL];
  return level !== undefined && level !== 'privileged';
}
