// Prints one classified reset, and a summary of many.
import { printable } from '../../../lib/printable.ts';
import type { ClassifiedReset } from '../../../lib/resets/classified-reset.ts';
import { KINDS, type ResetKind } from '../../../lib/resets/reset-kind.ts';
import type { ResetOrigin } from '../../../lib/resets/reset-origin.ts';
import type { Reset } from '../../../lib/resets/trace-line.ts';

/** How many candidates are named; the others are only counted. */
const MAX_NAMED = 5;
/** How many rows a summary has before new ones are counted together, in one row for each kind. */
const MAX_ROWS = 200;

/** One line: time, pod and port, cause, and the kernel's state and reason. */
export function resetText({ reset, kind, origin }: ClassifiedReset, at: Date): string {
  const { local, remote, state = 'no socket', reason } = reset;
  const peer = remote.port === 0 ? '' : ` to ${endpointText(remote)}`;
  const kernelWords = [state, reason].filter((word) => word !== undefined).join(' ');
  const where = `${originText(origin, reset)} port ${local.port}${peer}`;
  return printable(`${at.toISOString().slice(11, 23)} ${where}: ${KINDS[kind].text} [${kernelWords}]`);
}

/** The same for JSON. */
export function resetData({ reset, kind, origin }: ClassifiedReset, at: Date) {
  const { local, remote, state, reason, active, command, pid } = reset;
  return {
    at: at.toISOString(),
    pods: origin.candidates.map(({ label, id }) => ({ name: label, namespace: id })),
    foundBy: origin.foundBy,
    ...{ kind, thisBug: KINDS[kind].bug, local, remote },
    ...{ state: state ?? null, reason: reason ?? null },
    ...(active ? { command, pid } : {}),
  };
}

function originText({ candidates, foundBy }: ResetOrigin, { local }: Reset): string {
  const [only] = candidates;
  if (!only) return `an address of no visible pod (${local.address})`;
  if (candidates.length === 1) return only.label;
  const more = candidates.length - MAX_NAMED;
  const names = candidates.slice(0, MAX_NAMED).map(({ label }) => label);
  const why = foundBy === 'listener' ? 'listen on that port' : 'have that address';
  return `one of ${candidates.length} that ${why} (${names.join('; ')}${more > 0 ? ` and ${more} more` : ''})`;
}

function endpointText({ address, port }: Reset['remote']): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

export interface ResetSummaryRow {
  /** Origin and port. The port is the peer's if the connection was opened here. */
  where: string;
  kind: ResetKind;
  resets: number;
}

/** Counts resets by origin, port and kind, in at most MAX_ROWS rows and one more for each kind. */
export function makeSummary() {
  const rows = new Map<string, ResetSummaryRow>();
  return {
    add({ reset, kind, origin }: ClassifiedReset): void {
      const where = `${originText(origin, reset)} ${serviceText(origin, reset)}`;
      const wanted = `${where}\n${kind}`;
      const room = rows.has(wanted) || rows.size < MAX_ROWS;
      const key = room ? wanted : kind;
      const row = rows.get(key) ?? { where: room ? where : 'others', kind, resets: 0 };
      rows.set(key, { ...row, resets: row.resets + 1 });
    },
    /** Most resets first. */
    rows: (): ResetSummaryRow[] => [...rows.values()].sort((a, b) => b.resets - a.resets),
  };
}

/** The port that identifies the service: the peer's, where the own port is an ephemeral one. */
function serviceText({ candidates }: ResetOrigin, { local, remote }: Reset): string {
  const served = candidates.some(({ listeners }) => listeners.some(({ port }) => port === local.port));
  return served || remote.port === 0 || local.port < remote.port ? `port ${local.port}` : `to port ${remote.port}`;
}

/**
 * The answer in one sentence, then the table.
 * @param lost events that the kernel's buffer had no room for
 */
export function summaryText(rows: ResetSummaryRow[], seconds: number, lost: number): string {
  const bugs = rows.filter(({ kind }) => KINDS[kind].bug).reduce((sum, { resets }) => sum + resets, 0);
  const all = rows.reduce((sum, { resets }) => sum + resets, 0);
  const lostText = lost > 0 ? ` ${lost} more were lost: the kernel's buffer was full.` : '';
  const line = (count: string, kind: string, where: string) =>
    `${count.padStart(7)}  ${kind.padEnd(18)}  ${printable(where)}`;
  const lines = rows.map(({ where, kind, resets }) => line(String(resets), kind, where));
  return [
    '',
    `${all} resets in ${seconds} s, ${bugs} of them of the kind that the rule prevents.${lostText}`,
    ...(lines.length > 0 ? [line('resets', 'kind', 'where'), ...lines] : []),
    '',
  ].join('\n');
}
