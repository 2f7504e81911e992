// One reset with what was found out about it, and many of them in a table.
import { KINDS, type Kind } from './reset-kind.ts';
import type { Place } from './reset-origin.ts';
import type { Reset } from './trace-line.ts';

export interface Finding {
  reset: Reset;
  kind: Kind;
  place: Place;
}

/** More candidates than these are counted, not named. */
const MAX_NAMED = 5;
/** More rows than these are one row. */
const MAX_ROWS = 200;

/** One line: when, which pod and port, what it was, and what the kernel said. */
export function findingText({ reset, kind, place }: Finding, at: Date): string {
  const { local, remote, state = 'no socket', reason } = reset;
  const peer = remote.port === 0 ? '' : ` to ${endpointText(remote)}`;
  const told = [state, reason].filter((word) => word !== undefined).join(' ');
  return `${at.toISOString().slice(11, 23)} ${whereText(place, reset)} port ${local.port}${peer}: ${KINDS[kind].text} [${told}]`;
}

/** The same as plain data. */
export function findingData({ reset, kind, place }: Finding, at: Date) {
  const { local, remote, state, reason, active, command, pid } = reset;
  return {
    at: at.toISOString(),
    pods: place.candidates.map(({ label, id }) => ({ name: label, namespace: id })),
    foundBy: place.how,
    ...{ kind, thisBug: KINDS[kind].bug, local, remote },
    ...{ state: state ?? null, reason: reason ?? null },
    ...(active ? { command, pid } : {}),
  };
}

function whereText({ candidates, how }: Place, { local }: Reset): string {
  const [only] = candidates;
  if (!only) return `an address of no pod that can be seen (${local.address})`;
  if (candidates.length === 1) return only.label;
  const more = candidates.length - MAX_NAMED;
  const names = candidates.slice(0, MAX_NAMED).map(({ label }) => label);
  const why = how === 'listener' ? 'listen on that port' : 'have that address';
  return `one of ${candidates.length} that ${why} (${names.join('; ')}${more > 0 ? ` and ${more} more` : ''})`;
}

function endpointText({ address, port }: Reset['remote']): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

export interface Row {
  /** Place and port; of a connection that was opened here, the port that it was opened to. */
  where: string;
  kind: Kind;
  resets: number;
}

/** Counts findings by place, port and kind. What is beyond the bound is counted in one last row. */
export function makeTable() {
  const rows = new Map<string, Row>();
  return {
    add({ reset, kind, place }: Finding): void {
      const where = `${whereText(place, reset)} ${serviceText(place, reset)}`;
      const wanted = `${where}\n${kind}`;
      const room = rows.has(wanted) || rows.size < MAX_ROWS;
      const key = room ? wanted : kind;
      const row = rows.get(key) ?? { where: room ? where : 'others', kind, resets: 0 };
      rows.set(key, { ...row, resets: row.resets + 1 });
    },
    /** Most resets first. */
    rows: (): Row[] => [...rows.values()].sort((a, b) => b.resets - a.resets),
  };
}

/** A port that was taken for one call tells nothing: then it is the peer's that names the service. */
function serviceText({ candidates }: Place, { local, remote }: Reset): string {
  const served = candidates.some(({ listeners }) => listeners.some(({ port }) => port === local.port));
  return served || remote.port === 0 || local.port < remote.port ? `port ${local.port}` : `to port ${remote.port}`;
}

/** The table for people, under a sentence that is the answer. */
export function summaryText(rows: Row[], seconds: number, lost: number): string {
  const bugs = rows.filter(({ kind }) => KINDS[kind].bug).reduce((sum, { resets }) => sum + resets, 0);
  const all = rows.reduce((sum, { resets }) => sum + resets, 0);
  const unseen = lost > 0 ? ` ${lost} more were lost: the kernel's buffer was full.` : '';
  const line = (count: string, kind: string, where: string) => `${count.padStart(7)}  ${kind.padEnd(18)}  ${where}`;
  const lines = rows.map(({ where, kind, resets }) => line(String(resets), kind, where));
  return [
    '',
    `${all} resets in ${seconds} s, ${bugs} of them of the kind that the rule prevents.${unseen}`,
    ...(lines.length > 0 ? [line('resets', 'kind', 'where'), ...lines] : []),
    '',
  ].join('\n');
}
