// What `status` says: parts, each with one sentence. Pure.
import { textTable } from '../../lib/text-table.ts';
import { EXIT } from '../cli-command.ts';

/** unknown: it could not be asked, mostly for want of a right. */
export type PartState = 'ok' | 'not-well' | 'unknown';

export interface StatusPart {
  /** webhook, configuration, node-agents, replica NAME, coverage or admission. */
  part: string;
  state: PartState;
  /** What was seen, and if it is not well, what to do. */
  detail: string;
}

export interface StatusReport {
  /** False where a part is not well; null where none is, but some are not known. */
  ok: boolean | null;
  /** Of this command. */
  version: string;
  parts: StatusPart[];
}

export function statusReport(version: string, parts: StatusPart[]): StatusReport {
  const has = (state: PartState) => parts.some((part) => part.state === state);
  return { ok: has('not-well') ? false : has('unknown') ? null : true, version, parts };
}

const MARKS: Record<PartState, string> = { ok: 'ok', 'not-well': 'NOT WELL', unknown: 'UNKNOWN' };

export function statusTable({ parts }: StatusReport): string {
  return textTable([
    ['STATE', 'PART', 'DETAIL'],
    ...parts.map(({ part, state, detail }) => [MARKS[state], part, detail]),
  ]);
}

export function statusExit({ ok }: StatusReport): number {
  if (ok === null) return EXIT.cannot;
  return ok ? EXIT.well : EXIT.found;
}
