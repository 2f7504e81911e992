// What the agent has to do for a pod. Pure: from the pod, its namespace's labels and what the agent did before.

import type { NodeMode } from '../../lib/contract.ts';
import { isOfLook } from '../../lib/pod/guarded-condition.ts';
import { placementOf } from '../../lib/pod/placement.ts';
import { LEFT_ALONE_REASONS } from '../../lib/pod/reasons.ts';
import type { NodePod } from './node-pod.ts';

export type PodDuty =
  /** Put the cure in and keep it there. */
  | { kind: 'guard' }
  /** Our rule is in its namespace, or may be: take it out, then say so in the condition. */
  | { kind: 'withdraw'; why: string }
  /** Nothing guards it: touch nothing in its namespace, and tell whether its conntrack is liberal. */
  | { kind: 'look'; why: string }
  /**
   * Touch nothing in its namespace.
   * @property settle whether the condition must say that the agent holds nothing back
   */
  | { kind: 'leave'; why: string; settle: boolean };

export interface DutyContext {
  /** Of the pod's namespace; undefined where that is not opted in. */
  labels: Record<string, string> | undefined;
  nodeMode: NodeMode;
  /** This agent has put the cure into the pod's namespace. */
  guardedHere: boolean;
}

const NO_LABEL = 'the label of its namespace asks for no agent';
const OWN_CONTAINERS = 'its own containers guard it';
const ENDED = 'it has ended';

/**
 * The condition in a pod's status is the record of what an agent did before it was started again: a pod with a condition
 * that says more than NotOptedIn has our rule, but for what a mere look has told.
 */
export function dutyOf(pod: NodePod, { labels, nodeMode, guardedHere }: DutyContext): PodDuty {
  const { gate, condition, leftAlone } = pod;
  if (pod.ended) return { kind: 'leave', why: ENDED, settle: false };
  // Nothing is taken out of such a pod: the rule and the table are those of its containers too.
  if (pod.ownContainers) return { kind: 'leave', why: OWN_CONTAINERS, settle: gate || condition !== undefined };
  const optsOut = leftAlone === 'opted-out';
  if (leftAlone !== undefined && !optsOut) return { kind: 'leave', why: LEFT_ALONE_REASONS[leftAlone], settle: gate };
  const placement = placementOf(labels, nodeMode);
  const told = condition !== undefined && !isOfLook(condition.reason);
  // A pod that agents guarded before its namespace was switched to containers has none.
  const stays = placement === 'pod' && (gate || told);
  if (!optsOut && (placement === 'node' || stays)) return { kind: 'guard' };
  const why = optsOut ? LEFT_ALONE_REASONS['opted-out'] : NO_LABEL;
  const touched = guardedHere || (told && condition.reason !== 'NotOptedIn');
  if (touched) return { kind: 'withdraw', why };
  return !optsOut && placement === 'pod' ? { kind: 'look', why } : { kind: 'leave', why, settle: gate };
}
