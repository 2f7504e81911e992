// Whether a pod is guarded, or why not. Pure. Decided from the containers that are there and from what the agent of its node
// says, never from an annotation.

import type { Placement } from '../../lib/pod/placement.ts';
import { areForeign, areOurs } from '../admission/own-containers.ts';
import type { CoverageReason } from './coverage-reasons.ts';
import { type ConditionFacts, isTakenUp, type PodRecord } from './pod-record.ts';

export interface CoveredNamespace {
  /** Seconds since 1970 at which it was opted in; undefined where it is not known. */
  optedInAt: number | undefined;
  forbidsNetAdmin: boolean;
  /** What guards its new pods. missing: its label asks for agents, and there are none. */
  placement: Placement | 'missing';
}

/**
 * A checker that runs for less than this counts as starting: the kubelet has not probed it yet. So does a pod that an agent
 * has not taken up yet.
 */
export const STARTING_SECONDS = 30;

/** @param now seconds since 1970 */
export function podReason(pod: PodRecord, namespace: CoveredNamespace, now: number): CoverageReason {
  const { own, install, ephemeral, leftAlone, liberal, agent } = pod.facts;
  if (areOurs(own) && install !== 'absent') return reasonOfInjected(pod, now);
  if (ephemeral) return 'guarded-while-running';
  if (leftAlone !== undefined) return leftAlone;
  if (agent !== undefined && isForAgent(agent, namespace)) return reasonByAgent(pod, agent, namespace, now);
  // Nothing of ours guards it. Where something does, or should, what that says counts.
  if (liberal || agent?.says === 'LiberalConntrack') return 'liberal-conntrack';
  // The last reasons of the same table: they need the namespace's labels, which change without the pod.
  if (agent !== undefined && namespace.placement === 'missing') return 'no-node-agents';
  if (namespace.forbidsNetAdmin) return 'pod-security';
  if (areForeign(own)) return own;
  const { optedInAt } = namespace;
  // Times are whole seconds: a pod created within the second of the label counts as older, not as missed by the
  // webhook.
  return optedInAt === undefined || pod.created <= optedInAt ? 'created-before-opt-in' : 'webhook-missed';
}

/**
 * Whether `starting` can change with time alone: a running checker has some time to become Ready, and an agent to find the
 * pod's network.
 */
export function changesWithTime({ facts }: PodRecord): boolean {
  return facts.checker === 'running' || facts.agent?.hasNetwork === true;
}

/** An agent guards what it has once taken up, and what waits for it, also when the namespace has been switched since. */
function isForAgent(facts: ConditionFacts, { placement }: CoveredNamespace): boolean {
  return placement === 'node' || facts.gated || isTakenUp(facts);
}

function reasonByAgent({ startedAt }: PodRecord, agent: ConditionFacts, namespace: CoveredNamespace, now: number) {
  const { says, hasNetwork } = agent;
  if (says === 'Guarded') return 'guarded-by-agent';
  if (says === 'NotGuarded') return 'agent-not-guarded';
  if (says === 'CannotTell') return 'agent-cannot-tell';
  // Agents guard pods that run already from the label on.
  const since = Math.max(startedAt, namespace.optedInAt ?? 0);
  if (!hasNetwork || now - since < STARTING_SECONDS) return 'starting';
  if (says === 'NoNamespace') return 'agent-no-namespace';
  return says === 'Starting' ? 'agent-cannot-tell' : 'agent-waiting';
}

function reasonOfInjected({ facts, startedAt }: PodRecord, now: number): CoverageReason {
  const { install, checker, own, observes, unpulled } = facts;
  if (unpulled) return 'image-not-pulled';
  if (install === 'failed') return 'install-failed';
  if (install === 'waiting' || checker === 'waiting') return 'starting';
  if (observes) return 'observe-mode';
  if (checker === 'absent') return 'guarded-without-checker';
  if (checker === 'failing') return 'checker-not-ready';
  if (checker === 'running') return now - startedAt < STARTING_SECONDS ? 'starting' : 'checker-not-ready';
  return own === 'current' ? 'guarded' : 'guarded-by-older-version';
}
