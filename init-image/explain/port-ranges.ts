// Which TCP ports rules tell apart: ports that no rule tells apart need to be asked about once.
import type { Value } from '../../lib/netfilter/model.ts';

export interface PortRange {
  from: number;
  to: number;
}

const ALL: PortRange = { from: 1, to: 65_535 };

/**
 * Cuts all ports into ranges that no condition divides.
 * @param values what conditions on the destination port compare with
 */
export function cutPorts(values: Value[]): PortRange[] {
  const starts = values.flatMap((value): number[] => {
    if (typeof value === 'number') return [value, value + 1];
    return typeof value === 'object' && 'from' in value ? [value.from, value.to + 1] : [];
  });
  const inside = starts.filter((port) => port > ALL.from && port <= ALL.to);
  const sorted = [ALL.from, ...new Set(inside.sort((a, b) => a - b))];
  return sorted.map((from, i) => ({ from, to: (sorted[i + 1] ?? ALL.to + 1) - 1 }));
}

/** Joins ranges, given in order, that touch. */
export function joinPorts(ranges: PortRange[]): PortRange[] {
  const joined: PortRange[] = [];
  for (const range of ranges) {
    const last = joined.at(-1);
    if (last && last.to + 1 === range.from) last.to = range.to;
    else joined.push({ ...range });
  }
  return joined;
}

/** The ports that are in none of the ranges, which are in order. */
export function otherPorts(ranges: PortRange[]): PortRange[] {
  const starts = [ALL.from, ...ranges.map(({ to }) => to + 1)];
  const ends = [...ranges.map(({ from }) => from - 1), ALL.to];
  return starts.flatMap((from, i) => (from <= (ends[i] ?? 0) ? [{ from, to: ends[i] ?? 0 }] : []));
}

export function includesPort(ranges: PortRange[], port: number): boolean {
  return ranges.some(({ from, to }) => port >= from && port <= to);
}

/** More ranges than these are counted, not listed. */
const MAX_LISTED = 12;

/** For people: "9000, 9100-9200", or "all but 15020, 15021" where that is shorter. */
export function portsText(ranges: PortRange[]): string {
  if (ranges.length === 0) return 'none';
  const others = otherPorts(ranges);
  if (others.length === 0) return 'all';
  const isMost = ranges.reduce((sum, { from, to }) => sum + to - from + 1, 0) > ALL.to / 2;
  return isMost ? `all but ${list(others)}` : list(ranges);
}

function list(ranges: PortRange[]): string {
  const texts = ranges.map(({ from, to }) => (from === to ? `${from}` : `${from}-${to}`));
  const more = texts.length - MAX_LISTED;
  return more > 0 ? `${texts.slice(0, MAX_LISTED).join(', ')} and ${more} more` : texts.join(', ');
}
