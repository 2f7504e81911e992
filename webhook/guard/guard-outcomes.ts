// What can become of a pod that is to be guarded while it runs. The same words are in the lines, the table and the docs.

interface Meaning {
  /** ok: it is guarded (on a dry run: would be). left: nothing was tried. failed: something was tried, and failed. */
  kind: 'ok' | 'left' | 'failed';
  text: string;
}

export const OUTCOMES = {
  guarded: { kind: 'ok', text: 'the rule is installed and verified' },
  'already-guarded': { kind: 'ok', text: 'a container of ours has done it before' },
  'would-guard': { kind: 'ok', text: 'dry run: the API server would take the container' },
  'not-running': { kind: 'left', text: 'only a running pod has a network to put the rule into' },
  'being-deleted': { kind: 'left', text: 'it is about to go' },
  'host-network': { kind: 'left', text: "the rules would be the node's own" },
  'mirror-pod': { kind: 'left', text: 'a static pod cannot be changed through the API' },
  windows: { kind: 'left', text: 'a Windows node has no netfilter' },
  'opted-out': { kind: 'left', text: 'the pod has invalid-drop.io/inject=disabled' },
  'own-namespace': { kind: 'left', text: 'pods of invalid-drop-system and kube-system are never changed' },
  'wrong-annotation': { kind: 'left', text: 'an annotation of the pod has a value that is not allowed' },
  'pod-security': { kind: 'left', text: 'Pod Security of its namespace refuses NET_ADMIN' },
  'not-tried': { kind: 'left', text: 'the command was stopped, or too many pods before it had failed' },
  'not-found': { kind: 'failed', text: 'there is no such pod' },
  'unreadable-pod': { kind: 'failed', text: 'metadata, spec or containers are not as the Pod API has them' },
  forbidden: { kind: 'failed', text: 'you may not do that' },
  refused: { kind: 'failed', text: 'the API server refused the container for another reason' },
  'install-failed': { kind: 'failed', text: 'the container ran, and INVALID packets are not dropped' },
  'checker-failed': { kind: 'failed', text: 'the rule is installed and verified, but the checker did not stay' },
  'timed-out': { kind: 'failed', text: 'the container did not start, or did not end, in time' },
  error: { kind: 'failed', text: 'the API server did not answer, or not as it should' },
} as const satisfies Record<string, Meaning>;

export type Outcome = keyof typeof OUTCOMES;

export interface Target {
  namespace: string;
  pod: string;
}

/** What became of one pod. */
export interface Result extends Target {
  outcome: Outcome;
  /** What there is to say beyond the outcome; '' where there is nothing. */
  detail: string;
}

export const kindOf = (outcome: Outcome): Meaning['kind'] => OUTCOMES[outcome].kind;
