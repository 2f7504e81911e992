// A path that a packet takes through a ruleset: its state, what it assumes, and which packets take it.
import { type Domains, unite } from './field-domain.ts';
import type { RuleLocation } from './model.ts';
import { type Packet, type PacketState, toMark } from './packet.ts';

/** A path that the packet can take through the ruleset, up to a point. */
export interface Path extends PacketState {
  /** Rules that may have let it pass rules behind them: ACCEPT, RETURN, goto, TPROXY, marks, NOTRACK. */
  acceptedBy: RuleLocation[];
  assumptions: Assumption[];
  /** What the sender may have chosen, so that the packet takes this path, or more. */
  chosen: Domains;
  /** The same of the paths that this one stands for. */
  merged: Merged | undefined;
  /** A rule has noted its connection, if there was room. */
  noted: boolean;
  /** Up to here every packet of its flow takes the same path (see dependsOnFlow). */
  byFlow: boolean;
  /**
   * NOTRACK takes every packet of its flow out of conntrack as it arrives: none of them is INVALID, and none is
   * redirected by NAT.
   */
  untrackedFlow: boolean;
}

/** An undecidable condition that a path assumes to hold or not to hold. */
interface Assumption {
  text: string;
  holds: boolean;
}

interface Merged {
  chosen: Domains;
  others: (Merged | undefined)[];
}

/** Bounds of what a report needs. */
const MAX_ASSUMPTIONS = 3;
const MAX_ACCEPTED_BY = 30;

/** The packet as it arrives. */
export function startingPath({ mark }: Packet): Path {
  return {
    ...{ ct: 'none', mark: toMark(mark), rewritten: false, noted: false, byFlow: true, untrackedFlow: false },
    ...{ acceptedBy: [], assumptions: [], chosen: {}, merged: undefined },
  };
}

/** Of paths that rules cannot tell apart from here on, one stays for all. */
export function distinct(paths: Path[]): Path[] {
  if (paths.length < 2) return paths;
  const seen = new Map<string, Path>();
  for (const path of paths) {
    const { ct, mark, rewritten, noted, byFlow, untrackedFlow } = path;
    const key = [ct, mark.value, mark.known, rewritten, noted, byFlow, untrackedFlow].join(' ');
    const same = seen.get(key);
    seen.set(key, same ? merge(same, path) : path);
  }
  return [...seen.values()];
}

function merge(path: Path, other: Path): Path {
  const isShared = (one: Assumption) =>
    other.assumptions.some(({ text, holds }) => text === one.text && holds === one.holds);
  const chosen = unite(path.chosen, other.chosen);
  const merged = { chosen: other.chosen, others: [path.merged ?? { chosen: path.chosen, others: [] }, other.merged] };
  return { ...path, assumptions: path.assumptions.filter(isShared), chosen, merged };
}

/** What the sender may have chosen, on the path and on each that it stands for. */
export function choicesOf({ chosen, merged }: Path): Domains[] {
  const found = new Set<Domains>([chosen]);
  const seen = new Set<Merged | undefined>([undefined]);
  for (let open = [merged]; open.length > 0; ) {
    const next = [...new Set(open)].filter((one) => !seen.has(one));
    for (const one of next) {
      seen.add(one);
      if (one) found.add(one.chosen);
    }
    open = next.flatMap((one) => one?.others ?? []);
  }
  return [...found];
}

/** The path that assumes the condition to hold, or not to hold. */
export function assume(path: Path, text: string, holds: boolean): Path {
  return path.assumptions.length < MAX_ASSUMPTIONS && !path.assumptions.some((one) => one.text === text)
    ? { ...path, assumptions: [...path.assumptions, { text, holds }] }
    : path;
}

/** The path behind a rule that may let it pass others. */
export function acceptBy(path: Path, location: RuleLocation): Path {
  return path.acceptedBy.length < MAX_ACCEPTED_BY ? { ...path, acceptedBy: [...path.acceptedBy, location] } : path;
}
