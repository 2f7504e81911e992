// What to do, by the name that a case of answer.ts gives it.
export const ADVICE = {
  'nothing-to-do': 'Nothing has to be done for this pod.',
  guard:
    'Guard the pod as it runs (webhook.js guard, docs/running-pods.md), or label its namespace and restart it. If the resets end, it was this.',
  'other-causes':
    'Look for the usual causes: the application closed first, an idle time-out, a port nobody listens on (docs/diagnose.md).',
  'watch-node':
    'Watch the resets themselves on the node, where each names its cause: --explain --node (docs/diagnose.md).',
  'look-at-peer': 'Run this where the resets come from: the pods that this one calls, or that call it.',
  'run-longer': 'Run it again while resets happen, or for longer: --seconds 300.',
  'grant-net-admin':
    'Run it with CAP_NET_ADMIN and uid 0: kubectl exec in the checker, or kubectl debug --profile=netadmin with our image.',
  'other-nodes':
    "No INVALID packet here says nothing about a pod on another node: what the node's kube-proxy drops never reaches the pod (docs/diagnose.md, who is exposed).",
} as const;

export type Advice = keyof typeof ADVICE;
