// What the condition of a pod should say. Pure.

import { basename } from 'node:path';
import type { Mode } from '../../lib/contract.ts';
import { BE_LIBERAL } from '../../lib/netfilter/proc.ts';
import { CONDITION_REASONS, type ConditionReason, type GuardedCondition } from '../../lib/pod/guarded-condition.ts';
import { printable } from '../../lib/printable.ts';

/** What the agent knows of a pod. */
export type PodFinding =
  /** Its network namespace has not been found. */
  | { state: 'no-namespace'; reason: string }
  /** `verified`: this very agent has seen it guarded before. */
  | { state: 'starting' | 'guarded' | 'not-guarded' | 'cannot-tell'; reason: string; verified: boolean }
  /** The agent holds nothing back. */
  | { state: 'left'; reason: string }
  /** Nothing guards it: whether its conntrack is liberal. */
  | { state: 'liberal' | 'strict' };

/** A condition as it is to be written, without its time. */
export interface WantedCondition {
  status: 'True' | 'False' | 'Unknown';
  reason: ConditionReason;
  message: string;
}

export interface ConditionContext {
  mode: Mode;
  gate: boolean;
  /** As it is in the pod's status. */
  present: GuardedCondition | undefined;
  /** About annotations with values that are not allowed; '' where there are none. */
  wrong: string;
  /** Milliseconds for which the pod has been in this state. */
  age: number;
}

/** Characters of a message. The API server takes 32 KiB, and `kubectl describe` shows one line. */
const MESSAGE_LENGTH = 512;
/** Most pods are guarded long before: a condition that only says so for a moment is not worth two writes. */
const GRACE_MS = 10_000;
/** For as long a pod that was guarded is said to be: an agent that starts takes nothing away. */
const TRUSTED_MS = 60_000;

const REASONS: Record<PodFinding['state'], ConditionReason> = {
  'no-namespace': 'NoNamespace',
  starting: 'Starting',
  guarded: 'Guarded',
  'not-guarded': 'NotGuarded',
  'cannot-tell': 'CannotTell',
  left: 'NotOptedIn',
  liberal: 'LiberalConntrack',
  strict: 'StrictConntrack',
};
const SYSCTL = basename(BE_LIBERAL);
const NOTHING_OF_OURS = 'and nothing of invalid-drop guards it';
const OF_LOOK = {
  liberal: `${SYSCTL} is 1 in its network namespace, ${NOTHING_OF_OURS}: segments out of the window are valid`,
  strict: `${SYSCTL} is 0 in its network namespace, where it was 1, ${NOTHING_OF_OURS}`,
};

/**
 * @returns undefined where the condition stays as it is. A pod that was guarded when this agent started stays Ready until a
 *   check says otherwise; after a minute the reason tells that none has succeeded.
 */
export function wantedCondition(finding: PodFinding, context: ConditionContext): WantedCondition | undefined {
  const { state } = finding;
  // That conntrack is not liberal is worth a condition only where one says that it is.
  if (state === 'strict' && context.present === undefined) return undefined;
  const wasTrue = context.present?.status === 'True';
  const isPassing = isWithoutVerdict(finding);
  // A pod without an agent's verdict yet: its namespace may be labelled in this very second.
  if ((isPassing || (state === 'left' && context.present === undefined)) && context.age < GRACE_MS) return undefined;
  if (isPassing && wasTrue && context.age <= TRUSTED_MS) return undefined;
  const reason = REASONS[state];
  const status = statusOf(finding, context, wasTrue);
  return { status, reason, message: messageOf(finding, context.wrong) };
}

function isWithoutVerdict({ state }: PodFinding): boolean {
  return state === 'no-namespace' || state === 'starting';
}

function statusOf(finding: PodFinding, { gate, mode }: ConditionContext, wasTrue: boolean): WantedCondition['status'] {
  // It was verified before: that this agent cannot is no fault of the pod's, which stays Ready. The reason says it.
  const isUnsure = isWithoutVerdict(finding) || (finding.state === 'cannot-tell' && !finding.verified);
  if (wasTrue && isUnsure) return 'True';
  // In observe nothing is held back, also where the pod got its gate before it was told to observe.
  if (gate && mode === 'observe') return 'True';
  return CONDITION_REASONS[REASONS[finding.state]];
}

function messageOf(finding: PodFinding, wrong: string): string {
  const reason = 'reason' in finding ? finding.reason : OF_LOOK[finding.state];
  return printable(wrong === '' ? reason : `${reason}; ${wrong}`).slice(0, MESSAGE_LENGTH);
}
