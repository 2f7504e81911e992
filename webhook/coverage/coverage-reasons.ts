// What a pod of an opted-in namespace can be. The same words are in the report, the metric, the log and Events.

interface Meaning {
  /** Whether an INVALID packet is taken to be dropped in such a pod. */
  guarded: boolean;
  /** What it means. */
  text: string;
  /** What the pod's owner can do; absent where there is nothing to be done, and then no Event is written. */
  remedy?: string;
}

const RESTART = 'restart its workload: kubectl rollout restart; or guard it as it runs: webhook.js guard';

export const COVERAGE_REASONS = {
  guarded: { guarded: true, text: 'both containers are there and the checker is Ready' },
  'guarded-without-checker': {
    guarded: true,
    text: 'the rule was installed and verified once; nothing verifies it since',
  },
  'guarded-while-running': {
    guarded: true,
    text: 'webhook.js guard installed the rule and verified it once; the kubelet cannot tell whether it still holds',
  },
  'guarded-by-older-version': { guarded: true, text: 'guarded by an image other than the one that is configured now' },
  'observe-mode': { guarded: false, text: 'its mode is observe: being Ready says nothing, ask its checker' },
  starting: { guarded: false, text: 'its containers have not come up yet' },
  'install-failed': {
    guarded: false,
    text: 'the init container could not install the rule',
    remedy: 'read its log: kubectl logs POD -c invalid-drop-init',
  },
  'checker-not-ready': {
    guarded: false,
    text: 'the checker says that INVALID packets are not dropped, or does not answer',
    remedy: 'read its log: kubectl logs POD -c invalid-drop-checker',
  },
  'created-before-opt-in': {
    guarded: false,
    text: 'it is older than the label on its namespace, or than anybody can tell',
    remedy: RESTART,
  },
  'webhook-missed': {
    guarded: false,
    text: 'it was created after the opt-in, and the webhook did not see it: it was down at the time, or failed',
    remedy: RESTART,
  },
  'opted-out': { guarded: false, text: 'it has invalid-drop.io/inject=disabled' },
  'host-network': { guarded: false, text: 'it uses the network of its node, which is never touched' },
  'mirror-pod': { guarded: false, text: 'a static pod cannot be changed through the API' },
  windows: { guarded: false, text: 'a Windows node has no netfilter' },
  'namespace-forbids-net-admin': {
    guarded: false,
    text: 'Pod Security of its namespace refuses NET_ADMIN',
    remedy: 'move it to a namespace that allows NET_ADMIN, or opt it out with invalid-drop.io/inject=disabled',
  },
} as const satisfies Record<string, Meaning>;

export type CoverageReason = keyof typeof COVERAGE_REASONS;

export const REASONS = Object.keys(COVERAGE_REASONS) as CoverageReason[];

export function isGuarded(reason: CoverageReason): boolean {
  return COVERAGE_REASONS[reason].guarded;
}

/** What the owner can do about it; undefined where nothing is to be done. */
export function remedyFor(reason: CoverageReason): string | undefined {
  const meaning: Meaning = COVERAGE_REASONS[reason];
  return meaning.remedy;
}
