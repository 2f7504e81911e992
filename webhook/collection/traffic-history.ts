// What this process has seen of drops, rescues and drift, by namespace and ten minutes, and of peers that send stray segments. Its
// memory is bounded, whatever pods answer and however many there are.
import type { CheckerCounters, CheckerFigures, PeerSighting } from './checker-figures.ts';

export const COUNTERS = ['drops', 'rescues', 'drift'] as const;
export type CounterName = (typeof COUNTERS)[number];

/** Of one bar of a chart. */
export const BUCKET_MS = 600_000;
/** A day. */
export const BUCKETS = 144;
/** With a series of their own, 4 KB each; the rest share one. Kubernetes names hold no parenthesis. */
const NAMED_NAMESPACES = 100;
export const OTHER_NAMESPACES = '(other)';
/** Pods whose peers are kept: those that had stray segments last. */
const PODS_WITH_PEERS = 200;

/** A pod: its place in coverage, which is another one for a new pod of the same name. */
export interface CountedPod {
  identity: object;
  namespace: string;
  pod: string;
  /** Milliseconds since 1970 at which its checker began to run, or it got its network; 0 where that is not known. */
  startedAt: number;
}

/** A peer over all pods that told of it within a day. */
export interface PeerFigures {
  peer: string;
  /** Pods that it sent stray segments to, as NAMESPACE/POD; a few of them. */
  examples: string[];
  pods: number;
  segments: number;
  rescued: number;
  lastSeen: number;
}

interface Series {
  /** Number of the last bucket since 1970. */
  last: number;
  values: Record<CounterName, Float64Array>;
}

export type TrafficHistory = ReturnType<typeof createTrafficHistory>;

/** @param began milliseconds since 1970: of what has begun to count since, all is new */
export function createTrafficHistory(began: number) {
  const series = new Map<string, Series>();
  const before = new WeakMap<object, CheckerCounters>();
  const peersOf = new Map<string, { namespace: string; pod: string; peers: PeerSighting[]; told: number }>();

  function seriesFor(namespace: string, bucket: number): Series {
    const key = series.has(namespace) || series.size < NAMED_NAMESPACES ? namespace : OTHER_NAMESPACES;
    const found = series.get(key) ?? newSeries(bucket);
    series.set(key, found);
    advance(found, bucket);
    return found;
  }

  return {
    /** Takes what a pod has answered. @param now milliseconds since 1970 */
    add(
      { identity, namespace, pod, startedAt }: CountedPod,
      { counters, peers, since }: CheckerFigures,
      now: number,
    ): void {
      const known = before.get(identity);
      before.set(identity, counters);
      const isNew = Math.max(startedAt, since ?? startedAt) >= began;
      const grown = increase(known ?? (isNew ? ZERO : counters), counters);
      if (COUNTERS.some((name) => grown[name] > 0)) {
        const bucket = Math.floor(now / BUCKET_MS);
        const { values } = seriesFor(namespace, bucket);
        for (const name of COUNTERS)
          values[name][bucket % BUCKETS] = (values[name][bucket % BUCKETS] ?? 0) + grown[name];
      }
      if (peers.length === 0) return;
      const key = `${namespace}/${pod}`;
      peersOf.delete(key);
      peersOf.set(key, { namespace, pod, peers, told: now });
      const [oldest] = peersOf.keys();
      if (peersOf.size > PODS_WITH_PEERS && oldest !== undefined) peersOf.delete(oldest);
    },
    /** Each namespace that had any within a day, with a value for each ten minutes, the oldest first. */
    namespaces(now: number): { namespace: string; values: Record<CounterName, number[]> }[] {
      const bucket = Math.floor(now / BUCKET_MS);
      return [...series].flatMap(([namespace, one]) => {
        advance(one, bucket);
        const values = Object.fromEntries(COUNTERS.map((name) => [name, inOrder(one.values[name], bucket)]));
        const any = COUNTERS.some((name) => values[name]?.some((value) => value > 0));
        return any ? [{ namespace, values: values as Record<CounterName, number[]> }] : [];
      });
    },
    /** Peers of the last day, those with the most stray segments first. */
    peers(now: number): PeerFigures[] {
      const all = new Map<string, PeerFigures>();
      for (const { namespace, pod, peers, told } of peersOf.values()) {
        const counted = new Set<string>();
        for (const { peer, segments, rescued, lastSeen } of peers) {
          // The pod's clock may be wrong, or its answer a lie.
          const seen = Math.min(lastSeen, told);
          if (now - seen > BUCKETS * BUCKET_MS) continue;
          const one = all.get(peer) ?? { peer, examples: [], pods: 0, segments: 0, rescued: 0, lastSeen: 0 };
          if (!counted.has(peer)) {
            counted.add(peer);
            one.pods += 1;
            if (one.examples.length < 3) one.examples.push(`${namespace}/${pod}`);
          }
          one.segments += segments;
          one.rescued += rescued;
          one.lastSeen = Math.max(one.lastSeen, seen);
          all.set(peer, one);
        }
      }
      return [...all.values()].sort((a, b) => b.segments - a.segments || (a.peer < b.peer ? -1 : 1));
    },
  };
}

const ZERO: CheckerCounters = { drops: 0, rescues: 0, drift: 0 };

/**
 * A counter that went back counts from 0: its checker or agent was started again. Each by itself: what a rule has dropped
 * outlives who counts it.
 */
function increase(before: CheckerCounters, now: CheckerCounters): CheckerCounters {
  const grown = (name: CounterName) => now[name] - (now[name] < before[name] ? 0 : before[name]);
  return { drops: grown('drops'), rescues: grown('rescues'), drift: grown('drift') };
}

function newSeries(last: number): Series {
  const empty = () => new Float64Array(BUCKETS);
  return { last, values: { drops: empty(), rescues: empty(), drift: empty() } };
}

/** Empties the buckets that have passed since. A clock that is set back changes nothing. */
function advance(series: Series, bucket: number): void {
  const passed = Math.min(bucket - series.last, BUCKETS);
  for (let step = 0; step < passed; step++) {
    for (const name of COUNTERS) series.values[name][(bucket - step) % BUCKETS] = 0;
  }
  series.last = Math.max(series.last, bucket);
}

function inOrder(ring: Float64Array, bucket: number): number[] {
  return Array.from({ length: BUCKETS }, (_, index) => ring[(bucket + 1 + index) % BUCKETS] ?? 0);
}
