// What can become of a pod that is to be guarded while it runs, and how the command prints it.

import { leftAloneMeanings, SKIP_REASONS } from '../../lib/pod/reasons.ts';
import { printable } from '../../lib/printable.ts';
import { textTable } from '../../lib/text-table.ts';

interface Meaning {
  /** ok: it is guarded (on a dry run: would be). left: nothing was tried. failed: something was tried, and failed. */
  kind: 'ok' | 'left' | 'failed';
  text: string;
}

/** The command needs no agents. */
const { 'no-node-agents': _, ...LEFT_ALONE } = leftAloneMeanings((text): Meaning => ({ kind: 'left', text }));

export const GUARD_OUTCOMES = {
  guarded: { kind: 'ok', text: 'the rule is installed and verified' },
  'already-guarded': { kind: 'ok', text: 'one of our containers has installed and verified the rule before' },
  'guarded-by-agent': { kind: 'ok', text: 'the agent of its node guards it' },
  'would-guard': { kind: 'ok', text: 'dry run: the API server would accept the container' },
  'not-running': { kind: 'left', text: 'only a running pod has a network namespace for the rule' },
  'being-deleted': { kind: 'left', text: 'it is being deleted' },
  'left-to-agent': {
    kind: 'left',
    text: 'the agent of its node guards running pods by itself, and does not guard this one yet',
  },
  ...LEFT_ALONE,
  'wrong-annotation': { kind: 'left', text: 'an annotation of the pod has a value that is not allowed' },
  'not-tried': { kind: 'left', text: 'the command had stopped, or too many pods had failed' },
  'not-found': { kind: 'failed', text: 'there is no such pod' },
  'unreadable-pod': { kind: 'failed', text: SKIP_REASONS['unreadable-pod'] },
  forbidden: { kind: 'failed', text: 'you lack a permission' },
  refused: { kind: 'failed', text: 'the API server refused the container for another reason' },
  'install-failed': { kind: 'failed', text: 'the container ran, and INVALID packets are not dropped' },
  'checker-failed': { kind: 'failed', text: 'the rule is installed and verified, but the checker ended' },
  'timed-out': { kind: 'failed', text: 'the container did not start, or did not end, in time' },
  error: { kind: 'failed', text: 'the API server did not answer, or its answer was unexpected' },
} as const satisfies Record<string, Meaning>;

export type GuardOutcome = keyof typeof GUARD_OUTCOMES;

export interface GuardTarget {
  namespace: string;
  pod: string;
}

/** What became of one pod. */
export interface GuardResult extends GuardTarget {
  outcome: GuardOutcome;
  /** Details beside the outcome, or ''. */
  detail: string;
}

export const kindOf = (outcome: GuardOutcome): Meaning['kind'] => GUARD_OUTCOMES[outcome].kind;

// What the command prints. Pure.

/** One line for a pod that is done. */
export function resultLine(result: GuardResult, done: number, total: number): string {
  const { namespace, pod, outcome } = result;
  return printable(`[${done}/${total}] ${namespace}/${pod}: ${outcome}: ${meaningOf(result)}`);
}

/** Every pod with what became of it, and how many are guarded. */
export function resultTable(results: GuardResult[]): string {
  const rows = results.map((result) => [result.namespace, result.pod, result.outcome, meaningOf(result)]);
  const good = results.filter(({ outcome }) => kindOf(outcome) === 'ok');
  const would = good.filter(({ outcome }) => outcome === 'would-guard').length;
  const dry = would > 0 ? `, ${would} of them only in a run without --dry-run` : '';
  const table = rows.length > 0 ? `${textTable([['NAMESPACE', 'POD', 'OUTCOME', 'MEANING'], ...rows])}\n` : '';
  return `${table}${good.length} of ${results.length} pods are guarded${dry}\n`;
}

/** @returns 0 all are guarded, or would be; 1 some are not */
export function exitCodeOf(results: GuardResult[]): number {
  return results.every(({ outcome }) => kindOf(outcome) === 'ok') ? 0 : 1;
}

function meaningOf({ outcome, detail }: GuardResult): string {
  return detail === '' ? GUARD_OUTCOMES[outcome].text : `${GUARD_OUTCOMES[outcome].text} (${detail})`;
}
