// How a pod's inbound connections come to a proxy, and which ports the rules redirect.
import { type MeshName, meshByChain, meshOf } from '../../lib/mesh/meshes.ts';
import { conditionsOf, isOfFamily, type Ruleset } from '../../lib/netfilter/model.ts';
import type { Family, PortRange, Value } from '../../lib/netfilter/packet.ts';
import { findRedirectTarget, type RedirectTarget } from '../../lib/netfilter/redirect-target.ts';

export interface FamilyRedirection {
  /** Without NAT (TPROXY) a stray segment finds its own connection; after NAT (REDIRECT) it does not. */
  mode: 'REDIRECT' | 'TPROXY' | 'REDIRECT and TPROXY' | 'none' | 'unknown';
  /** Why the mode is unknown, or unknown for some ports. */
  reason?: string;
  /** What an unknown mode may be. */
  perhaps?: ('REDIRECT' | 'TPROXY')[];
  /** The mesh whose chains or tables these are, where they are a known one's. */
  mesh?: MeshName;
  /** Whether the rules are those of Istio's native nftables mode (1.28 and later). */
  native: boolean;
  /** Ports of the proxy, such as 15006. */
  proxyPorts: number[];
  redirected: PortRange[];
  excluded: PortRange[];
}

/** More ranges of ports are not evaluated: a mesh makes some tens. */
const MAX_RANGES = 1000;

/** @param iif an interface other than lo */
export function describeRedirection(ruleset: Ruleset, family: Family, iif: string): FamilyRedirection {
  const ranges = cutPorts(comparedPorts(ruleset, family));
  if (ranges.length > MAX_RANGES) {
    const reason = `the rules tell ${ranges.length} ranges of ports apart`;
    const some = findRedirectTarget(ruleset, family, iif);
    const perhaps = some.to === 'unknown' ? some.perhaps : 'table' in some ? [some.to] : [];
    return { mode: 'unknown', reason, perhaps, native: false, proxyPorts: [], redirected: [], excluded: [] };
  }
  const targets = ranges.map((range) => ({ range, target: findRedirectTarget(ruleset, family, iif, range.from) }));
  const having = (...to: RedirectTarget['to'][]) =>
    joinPorts(targets.flatMap(({ range, target }) => (to.includes(target.to) ? [range] : [])));
  const proxied = targets.flatMap(({ target }) => ('table' in target ? [target] : []));
  const unknown = targets.flatMap(({ target }) => (target.to === 'unknown' ? [target] : []));
  const mode = modeOf(new Set(proxied.map(({ to }) => to)), unknown.length > 0);
  const mesh = proxied.map(({ table, chain }) => meshByChain(table, chain)).find((name) => name !== undefined);
  return {
    mode,
    ...(mesh !== undefined && { mesh }),
    ...(unknown[0] === undefined ? {} : { reason: unknown[0].reason }),
    ...(mode === 'unknown' && { perhaps: [...new Set(unknown.flatMap(({ perhaps }) => perhaps))] }),
    native: proxied.some(({ table }) => / istio-(proxy|ambient)-/.test(table)),
    proxyPorts: [...new Set(proxied.flatMap(({ port }) => port ?? []))],
    redirected: having('REDIRECT', 'TPROXY'),
    excluded: proxied.length > 0 ? having('itself', 'nobody') : [],
  };
}

function modeOf(seen: Set<'REDIRECT' | 'TPROXY'>, isUnknown: boolean): FamilyRedirection['mode'] {
  if (seen.has('REDIRECT')) return seen.has('TPROXY') ? 'REDIRECT and TPROXY' : 'REDIRECT';
  if (isUnknown) return 'unknown';
  return seen.has('TPROXY') ? 'TPROXY' : 'none';
}

function comparedPorts(ruleset: Ruleset, family: Family): Value[] {
  const tables = ruleset.filter((table) => isOfFamily(table, family) || table.family === 'netdev');
  const rules = tables.flatMap(({ chains }) => [...chains.values()].flatMap((chain) => chain.rules));
  const conditions = rules.flatMap(conditionsOf);
  return conditions.flatMap((one) => ('field' in one && one.field === 'destinationPort' ? one.oneOf : []));
}

/** One line for people. */
export function redirectionText(redirection: FamilyRedirection): string {
  const { mode, mesh, native, proxyPorts, redirected, reason } = redirection;
  if (mode === 'none') return 'no rule redirects inbound connections';
  if (mode === 'unknown') return `${perhapsText(redirection)} (${reason})`;
  const whose = mesh === undefined ? '' : ` (${meshOf(mesh).title}${native ? ', native nftables' : ''})`;
  const doubt = reason === undefined ? '' : `; some ports cannot be told: ${reason}`;
  return `${mode} to ${proxyPorts.join(', ')}${whose}; ports redirected: ${portsText(redirected)}${doubt}`;
}

function perhapsText({ perhaps = [] }: FamilyRedirection): string {
  return perhaps.length > 0 ? `perhaps ${perhaps.join(' or ')}` : 'cannot be told';
}

// Which TCP ports rules tell apart: of ports that no rule tells apart one has to be evaluated.

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
