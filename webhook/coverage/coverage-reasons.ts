// Every reason that coverage gives for a pod. The same words are in the report, the metric, the log and Events.

import { FOREIGN_CONTAINER_REASONS, leftAloneMeanings } from '../../lib/pod/reasons.ts';

interface Meaning {
  /** Whether such a pod counts as guarded. */
  guarded: boolean;
  /** What it means. */
  text: string;
  /** What the pod's owner can do. Without one no Event is written. */
  remedy?: string;
}

const RESTART =
  'restart its workload (kubectl rollout restart), or guard it without a restart (kubectl invalid-drop guard)';

const CONDITION =
  "read the message of its condition invalid-drop.io/guarded (kubectl get pod POD -o yaml), and the agent's log";

const LEFT_ALONE = leftAloneMeanings((text): Meaning => ({ guarded: false, text }));

export const COVERAGE_REASONS = {
  guarded: { guarded: true, text: 'the rule was installed, and the checker is Ready' },
  'guarded-without-checker': {
    guarded: true,
    text: 'the rule was installed and verified once; it has no checker',
  },
  'guarded-while-running': {
    guarded: true,
    text: 'kubectl invalid-drop guard installed the rule and verified it once; later verdicts are not visible to the webhook',
  },
  'guarded-by-older-version': { guarded: true, text: 'guarded, by another image than the configured one' },
  'guarded-by-agent': {
    guarded: true,
    text: 'the agent of its node has verified it, and has reported no change since',
  },
  'liberal-conntrack': {
    guarded: true,
    text: 'nf_conntrack_tcp_be_liberal is 1 in it (its own sysctl, or seen by an agent): segments out of the window are valid; nothing counts them',
  },
  'observe-mode': { guarded: false, text: 'its mode is observe, so Ready does not mean guarded: ask its checker' },
  starting: { guarded: false, text: 'its containers have not started yet, or the agent has had no time to find it' },
  'image-not-pulled': {
    guarded: false,
    text: "its node cannot pull the checker's image",
    remedy:
      'read why: kubectl describe pod POD; a registry with a password needs a pull secret in the namespace (webhook option image-pull-secrets), then delete the pod',
  },
  'install-failed': {
    guarded: false,
    text: 'the rule could not be installed',
    remedy: 'read why: kubectl describe pod POD, or the log: kubectl logs POD -c invalid-drop-checker --previous',
  },
  'checker-not-ready': {
    guarded: false,
    text: 'the checker reports that INVALID packets are not dropped, or does not answer',
    remedy: 'read its log: kubectl logs POD -c invalid-drop-checker',
  },
  'agent-waiting': {
    guarded: false,
    text: 'the agent of its node has not taken it up; with the readiness gate it is not Ready until then',
    remedy: 'see that an agent runs on its node: kubectl get pods -n invalid-drop-system -o wide',
  },
  'agent-not-guarded': {
    guarded: false,
    text: 'the agent of its node reports that INVALID packets are not dropped',
    remedy: CONDITION,
  },
  'agent-no-namespace': {
    guarded: false,
    text: 'the agent of its node does not find its network namespace',
    remedy: CONDITION,
  },
  'agent-cannot-tell': {
    guarded: false,
    text: 'the agent of its node cannot tell whether INVALID packets are dropped',
    remedy: CONDITION,
  },
  'created-before-opt-in': {
    guarded: false,
    text: 'it was created before the namespace was labelled, or the time of the label is unknown',
    remedy: RESTART,
  },
  'webhook-missed': {
    guarded: false,
    text: 'it was created after the opt-in without the webhook, which was down or failed',
    remedy: RESTART,
  },
  'name-taken': {
    guarded: false,
    text: FOREIGN_CONTAINER_REASONS['name-taken'],
    remedy: 'give that container another name; a copy of a guarded pod must be made without our containers',
  },
  altered: {
    guarded: false,
    text: FOREIGN_CONTAINER_REASONS.altered,
    remedy: 'take it out of the template, and the webhook adds its own; kubectl invalid-drop guard says what differs',
  },
  ...LEFT_ALONE,
  'no-node-agents': {
    ...LEFT_ALONE['no-node-agents'],
    remedy: 'install the node agents, or label the namespace with invalid-drop.io/inject=pod',
  },
  'pod-security': {
    ...LEFT_ALONE['pod-security'],
    remedy:
      'let node agents guard its namespace, move it to one that allows NET_ADMIN, or opt it out (invalid-drop.io/inject=disabled)',
  },
} as const satisfies Record<string, Meaning>;

export type CoverageReason = keyof typeof COVERAGE_REASONS;

export const REASONS = Object.keys(COVERAGE_REASONS) as CoverageReason[];

export function isGuarded(reason: CoverageReason): boolean {
  return COVERAGE_REASONS[reason].guarded;
}

/** What the owner can do about it; undefined where nothing has to be done. */
export function remedyFor(reason: CoverageReason): string | undefined {
  const meaning: Meaning = COVERAGE_REASONS[reason];
  return meaning.remedy;
}
