// What is taken from a checker's report (GET /selfcheck of a guarded pod). Pure. Whoever runs in the pod can answer in its place,
// so nothing is taken that is not a whole number, an address or a time.
import { isIP } from 'node:net';
import { isObject, type JsonObject, objectAt, objectsAt, shortText } from '../../lib/json.ts';

/** Numbers since the checker's start. */
export interface CheckerCounters {
  /** Packets that the rules dropped. */
  drops: number;
  /** Connections made liberal in conntrack. */
  rescues: number;
  /** Times that the pod was found unguarded. */
  drift: number;
}

/** An address that sent stray segments to a port of the pod. */
export interface PeerSighting {
  peer: string;
  port: number;
  segments: number;
  rescued: number;
  /** Milliseconds since 1970, by the pod's clock. */
  lastSeen: number;
}

export interface CheckerFigures {
  counters: CheckerCounters;
  peers: PeerSighting[];
  /** Milliseconds since 1970: nothing of it was counted before; undefined where that is not told. */
  since?: number;
}

/** As many as a checker tells of. */
const MOST_PEERS = 5;
/** More than a pod drops in its life: what is above it is made up. */
const MOST = 1e12;

/** @param text a checker's report @returns undefined where it is none */
export function checkerFigures(text: string): CheckerFigures | undefined {
  return figuresIn(parsed(text));
}

/** @returns undefined where the text is no JSON */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Figures of one pod, under the names of a checker's report. @returns undefined where they are not there */
export function figuresIn(report: unknown): CheckerFigures | undefined {
  const strays = objectAt(report, 'strays');
  const [ipv4, ipv6] = (['ipv4', 'ipv6'] as const).map((family) =>
    wholeNumber(objectAt(report, 'prevented', family)['packets']),
  );
  const rescues = wholeNumber(strays['rescued']);
  const drift = isObject(report) ? wholeNumber(report['drift']) : undefined;
  if (ipv4 === undefined || ipv6 === undefined || rescues === undefined || drift === undefined) return undefined;
  const peers = objectsAt(strays, 'peers').slice(0, MOST_PEERS);
  return { counters: { drops: ipv4 + ipv6, rescues, drift }, peers: peers.flatMap((peer) => peerSighting(peer) ?? []) };
}

function peerSighting(entry: JsonObject): PeerSighting | undefined {
  const peer = shortText(entry['peer'], 46);
  const [port, segments, rescued] = [entry['port'], entry['segments'], entry['rescued']].map(wholeNumber);
  const lastSeen = Date.parse(shortText(entry['lastSeen'], 40));
  // What follows a % in an address, the name of an interface, may be any text.
  if (isIP(peer) === 0 || peer.includes('%')) return undefined;
  if (port === undefined || port > 65535 || segments === undefined || rescued === undefined) return undefined;
  return Number.isNaN(lastSeen) ? undefined : { peer, port, segments, rescued, lastSeen };
}

function wholeNumber(value: unknown): number | undefined {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) <= MOST ? Number(value) : undefined;
}
