// Whether a pod is guarded, or why not. Pure. Decided from the containers that are there, never from an annotation.

import { areForeign, areOurs } from '../admission/own-containers.ts';
import type { CoverageReason } from './coverage-reasons.ts';
import type { PodRecord } from './pod-record.ts';

export interface CoveredNamespace {
  /** Seconds since 1970 at which it was opted in; undefined where it is not known. */
  optedInAt: number | undefined;
  forbidsNetAdmin: boolean;
}

/** A checker that runs for less than this counts as starting: the kubelet has not probed it yet. */
export const STARTING_SECONDS = 30;

/** @param now seconds since 1970 */
export function podReason(pod: PodRecord, namespace: CoveredNamespace, now: number): CoverageReason {
  const { own, install, ephemeral, leftAlone } = pod.facts;
  if (areOurs(own) && install !== 'absent') return reasonOfInjected(pod, now);
  if (ephemeral) return 'guarded-while-running';
  if (leftAlone !== undefined) return leftAlone;
  // The last reason of the same table: it needs the namespace's labels, which change without the pod.
  if (namespace.forbidsNetAdmin) return 'pod-security';
  if (areForeign(own)) return own;
  const { optedInAt } = namespace;
  // Times are whole seconds: a pod created within the second of the label counts as older, not as missed by the
  // webhook.
  return optedInAt === undefined || pod.created <= optedInAt ? 'created-before-opt-in' : 'webhook-missed';
}

/** Whether the reason can change with time alone: a running checker has some time to become Ready. */
export function changesWithTime({ facts }: PodRecord): boolean {
  return facts.checker === 'running';
}

function reasonOfInjected({ facts, checkerSince }: PodRecord, now: number): CoverageReason {
  const { install, checker, own, observes } = facts;
  if (install === 'failed') return 'install-failed';
  if (install === 'waiting' || checker === 'waiting') return 'starting';
  if (observes) return 'observe-mode';
  if (checker === 'absent') return 'guarded-without-checker';
  if (checker === 'failing') return 'checker-not-ready';
  if (checker === 'running') return now - checkerSince < STARTING_SECONDS ? 'starting' : 'checker-not-ready';
  return own === 'current' ? 'guarded' : 'guarded-by-older-version';
}
