// Random connections, each with one segment that is changed. The same seed makes the same connection.
import type { Family } from '../../../lib/netfilter/packet.ts';
import { makePrng, type Prng } from '../random-rulesets/prng.ts';
import { bytesOf, NARROW, SCRIPTS } from './exchange-scripts.ts';

/**
 * `redirected`: from the gateway to the pod, and there to the proxy; `outbound`: from the pod to the gateway, not
 * redirected; `loopback`: within the pod.
 */
export const ROUTES = ['redirected', 'outbound', 'loopback'] as const;
export type Route = (typeof ROUTES)[number];

/** What is changed of the segment. Numbers are relative to those that it should have. */
export interface SegmentChange {
  sequence?: number;
  acknowledgement?: number;
  /** TCP flags, as nft writes them. */
  flags?: string;
  checksum?: 'wrong';
  /**
   * The segment stays as it is, and is sent again: so many segments of the other side are lost, acknowledgements first.
   */
  repeated?: number;
}

/** A connection, and the segment of it that is changed. */
export interface ChangedExchange {
  seed: number;
  route: Route;
  family: Family;
  /** Index of its script. */
  script: number;
  /** Requests do not wait for the answers of earlier ones: data goes in both directions at the same time. */
  pipelined?: boolean;
  /** The segment is the request of the script's changed exchange, or its answer. */
  segment: 'request' | 'answer';
  change: SegmentChange;
}

/** A connection's first window: 64 KiB less a part of a segment. */
const WINDOW = 65_160;
/** Around one window and around two, conntrack's decision changes. */
const NEAR = 5000;
/** More than a segment has, and than a window widens in a small warm-up. */
const MARGIN = 10_000;

/** More than a changed segment, and what follows it in scripts with few bytes that way, have together. */
const FEW = 2000;

/** An offset of a sequence or acknowledgement number, in either direction. */
function randomOffset({ below, chance, pick }: Prng): number {
  const around = (middle: number, distance: number) => middle - distance + below(2 * distance + 1);
  if (chance(0.2)) return around(0, 2 ** 31 - 1);
  const middle = pick([WINDOW, WINDOW, 2 * WINDOW, 2 * WINDOW, 1.5 * WINDOW, 0]);
  const offset = around(middle, middle === 0 ? 4 * WINDOW : middle === 1.5 * WINDOW ? WINDOW / 2 : NEAR);
  if (offset > 0 && offset < FEW) return offset + FEW;
  return chance(0.2) ? -offset : offset;
}

/** Moves an offset within the first window, or close to it, out of it. */
function beyondWindow(offset: number): number {
  return Math.abs(offset) < WINDOW + MARGIN ? offset + 2 * (WINDOW + MARGIN) : offset;
}

const FLAGS = ['rst', 'rst | ack', 'fin', 'fin | psh | ack', 'syn', 'syn | ack', '0x0', 'ack', 'psh | ack | urg'];
/**
 * If the receiver keeps a FIN that was never sent, it acknowledges more than there is, and an urgent byte leaves the
 * stream (tcp(7)): the connection is then broken on every path, whatever conntrack does.
 */
const HARMFUL_WITHIN = /fin|urg/;

function randomChange(prng: Prng, route: Route): SegmentChange {
  const kind = prng.pick(['sequence', 'sequence', 'sequence', 'acknowledgement', 'flags', 'repeated', 'checksum']);
  switch (kind) {
    case 'acknowledgement':
      return { acknowledgement: randomOffset(prng) };
    case 'flags': {
      const flags = prng.pick(FLAGS);
      if (HARMFUL_WITHIN.test(flags)) return { flags, sequence: beyondWindow(randomOffset(prng)) };
      return { flags, ...(prng.chance(0.5) && { sequence: randomOffset(prng) }) };
    }
    case 'repeated':
      return { repeated: 1 + prng.below(3) };
    case 'checksum':
      // Nobody computes checksums on loopback.
      if (route !== 'loopback') return { checksum: 'wrong' };
  }
  return { sequence: randomOffset(prng) };
}

/** More than windows have widened to after a large warm-up. */
const WIDE = 2 ** 22;

/** Whether a receiver may keep a segment that is moved by so much, for it is within its window. */
function mayBeKept(script: number, sequence = 0): boolean {
  return sequence > 0 && sequence < (script < NARROW ? WINDOW + MARGIN : WIDE);
}

/**
 * Whether a script suits a change. A receiver that has kept a segment, and all bytes before it, acknowledges what may
 * not have been sent yet, which its peer ignores (tcp_ack, net/ipv4/tcp_input.c): the connection may then hang on every
 * path. So few bytes follow that way.
 */
function suits(script: number, segment: ChangedExchange['segment'], { flags, sequence }: SegmentChange): boolean {
  // How fast a window widens depends on timing: whether a segment is within it would too.
  if (flags !== undefined && script >= NARROW) return false;
  const { changed = [0, 0], after = [] } = SCRIPTS[script] ?? {};
  const { sent, received } = bytesOf([changed, ...after]);
  return !mayBeKept(script, sequence) || (segment === 'request' ? sent : received) < FEW;
}

/** Half of the connections are redirected: those are what the rule is for. */
export function makeChangedExchange(seed: number): ChangedExchange {
  const prng = makePrng(seed);
  const route = prng.pick([...ROUTES, 'redirected'] as const);
  const change = randomChange(prng, route);
  const segment = prng.pick(['request', 'answer'] as const);
  const script = prng.pick([...SCRIPTS.keys()].filter((script) => suits(script, segment, change)));
  // Only where an answer is waited for, it is known which segments acknowledge another. A segment that is kept also has
  // the last word on its sender's window (tcp_may_update_window), which must not be full then.
  const mayPipeline = change.repeated === undefined && !mayBeKept(script, change.sequence);
  return {
    seed,
    route,
    family: prng.pick(['ipv4', 'ipv6']),
    script,
    pipelined: mayPipeline && prng.chance(0.5),
    segment,
    change,
  };
}
