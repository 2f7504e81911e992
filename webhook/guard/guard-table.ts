// What the command prints. Pure.
import { columns } from '../coverage/coverage-report.ts';
import { kindOf, OUTCOMES, type Result } from './guard-outcomes.ts';

/** One line for a pod that is done. */
export function resultLine(result: Result, done: number, total: number): string {
  const { namespace, pod, outcome } = result;
  return `[${done}/${total}] ${namespace}/${pod}: ${outcome}: ${meaningOf(result)}`;
}

/** Every pod with what became of it, and how many are guarded. */
export function resultTable(results: Result[]): string {
  const rows = results.map((result) => [result.namespace, result.pod, result.outcome, meaningOf(result)]);
  const good = results.filter(({ outcome }) => kindOf(outcome) === 'ok');
  const would = good.filter(({ outcome }) => outcome === 'would-guard').length;
  const dry = would > 0 ? `, ${would} of them only if this were no dry run` : '';
  const table = rows.length > 0 ? `${columns([['NAMESPACE', 'POD', 'OUTCOME', 'MEANING'], ...rows])}\n` : '';
  return `${table}${good.length} of ${results.length} pods are guarded${dry}\n`;
}

/** @returns 0 all are guarded, or would be; 1 some are not */
export function exitCodeOf(results: Result[]): number {
  return results.every(({ outcome }) => kindOf(outcome) === 'ok') ? 0 : 1;
}

function meaningOf({ outcome, detail }: Result): string {
  return detail === '' ? OUTCOMES[outcome].text : `${OUTCOMES[outcome].text} (${detail})`;
}
