// Why a pod is not guarded. The same words are in the response's warning, in the log and in the metric.

/** Reason to the sentence that a user reads. Short: a warning of more than 120 characters is cut off by clients. */
export const SKIP_REASONS = {
  'not-a-pod-creation': 'only the creation of a Pod is looked at; check the webhook rules',
  'own-namespace': 'pods of invalid-drop-system and kube-system are never changed',
  'unreadable-pod': 'metadata, spec or containers are not as the Pod API has them',
  'opted-out': 'the pod has invalid-drop.io/inject=disabled',
  'mirror-pod': 'a static pod cannot be changed through the API',
  windows: 'a Windows node has no netfilter',
  'host-network': "the rules would be the node's own",
  'namespace-forbids-net-admin': 'Pod Security of its namespace refuses NET_ADMIN',
  'already-injected': 'its containers are there already',
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
