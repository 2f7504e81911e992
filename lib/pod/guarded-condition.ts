// The readiness gate that the webhook adds where an agent is to guard the pod, and the condition that the agent sets. Pure.
import { GUARDED_CONDITION } from '../contract.ts';
import { type JsonObject, objectsAt, secondsOf, shortText } from '../json.ts';
import type { PodView } from './pod-view.ts';

/** What the agent says of a pod: reason of the condition, to the condition's status. */
export const CONDITION_REASONS = {
  Guarded: 'True',
  /** The label of the namespace has been removed: the agent has withdrawn, and holds nothing back. */
  NotOptedIn: 'True',
  NotGuarded: 'False',
  /** No network namespace of the pod has been found. */
  NoNamespace: 'False',
  Starting: 'False',
  CannotTell: 'Unknown',
  /** Nothing of ours is in the pod, and no agent is asked for: its conntrack is liberal, whoever made it so. */
  LiberalConntrack: 'True',
  /** It was, and is not any more. */
  StrictConntrack: 'False',
} as const;
export type ConditionReason = keyof typeof CONDITION_REASONS;

/** Whether an agent says so of a pod that it has only looked at. */
export function isOfLook(reason: string | undefined): boolean {
  return reason === 'LiberalConntrack' || reason === 'StrictConntrack';
}

export interface GuardedCondition {
  status: string;
  reason: string;
  message: string;
  /** Seconds since 1970 of the last change of status; 0 where it is not known. */
  since: number;
}

/** True where the pod gets Ready only with our condition. */
export function hasGuardedGate({ readinessGates = [] }: PodView): boolean {
  return readinessGates.some(({ conditionType }) => conditionType === GUARDED_CONDITION);
}

/** @param status of a Pod @returns our condition; undefined where no agent has set one */
export function guardedCondition(status: JsonObject): GuardedCondition | undefined {
  const found = objectsAt(status, 'conditions').find(({ type }) => type === GUARDED_CONDITION);
  if (found === undefined) return undefined;
  return {
    status: shortText(found['status'], 20),
    reason: shortText(found['reason'], 100),
    message: shortText(found['message'], 1000),
    since: secondsOf(found['lastTransitionTime']),
  };
}
