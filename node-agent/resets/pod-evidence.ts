// What the network namespaces of the guarded pods have counted lately, by which resets are judged.
import type { ResetEvidence } from '../../lib/resets/classified-reset.ts';
import { isReadable, readAddresses, readListeners, readNamespaceCounters } from '../../lib/resets/namespace-net.ts';
import type { NodeNamespace } from '../../lib/resets/node-namespaces.ts';
import { isLoopback, isOfListener, mayHaveSent } from '../../lib/resets/reset-origin.ts';
import type { Reset } from '../../lib/resets/trace-line.ts';
import { RecentGrowth } from './recent-growth.ts';
import type { WatchedNamespace } from './watched-namespace.ts';

/** Milliseconds between readings of all counters where no reset makes them necessary: what they grew is then recent. */
const REFRESH = 10_000;
/** Milliseconds for which the sockets of a namespace are believed to be those that were read. */
const SOCKETS_AGE = 5000;
/**
 * Namespaces of which the sockets are read each time: one takes 3 to 4 ms, because the kernel goes through the connections
 * of all namespaces, and a node has a hundred pods.
 */
const MOST_SOCKETS = 5;

interface ObservedNamespace {
  watched: WatchedNamespace;
  /** As decisions see it. */
  view: NodeNamespace;
  invalid: RecentGrowth;
  resets: RecentGrowth;
  /** Addresses of its interfaces; undefined while they have not been read. */
  read: string[] | undefined;
  /** When addresses and listeners were read. */
  socketsAt: number;
  /** When the pod was last seen unguarded, or found to have been. */
  unguardedAt: number;
}

export class PodEvidence implements ResetEvidence {
  readonly seesAll = false;
  private readonly now: () => number;
  private observed = new Map<string, ObservedNamespace>();
  private views: NodeNamespace[] = [];
  private refreshedAt = Number.NEGATIVE_INFINITY;

  /** @param now milliseconds */
  constructor(now: () => number) {
    this.now = now;
  }

  namespaces(): NodeNamespace[] {
    return this.views;
  }

  /** The agent's pid namespace is not the node's, in which the kernel reports processes. */
  processNamespace(): undefined {
    return undefined;
  }

  useInvalidPacket(id: string): void {
    const found = this.observed.get(id);
    found?.invalid.use();
    if (found) show(found);
  }

  /** Attributes one reset that the namespace has sent to an event. */
  useReset(id: string): void {
    const found = this.observed.get(id);
    found?.resets.use();
    if (found) show(found);
  }

  /** The pod of a namespace. */
  watched(id: string): WatchedNamespace | undefined {
    return this.observed.get(id)?.watched;
  }

  /**
   * @param from when a reset of the namespace can have been sent at the earliest
   * @returns why the rule did not prevent it; undefined where it has been in place all the time, so that the reset has
   *   another cause, or where the pod has gone
   */
  whyNotPrevented(id: string, from: number): string | undefined {
    const found = this.observed.get(id);
    if (!found) return undefined;
    const { guarded, reason } = found.watched.guard;
    if (!guarded) return `the pod is not guarded: ${reason}`;
    return found.unguardedAt >= from ? 'the pod was not guarded when the reset was sent, and is since' : undefined;
  }

  /**
   * Takes over which namespaces there are now. Counters are read as soon as a namespace can be seen, so that growth is
   * known from there on.
   */
  observe(namespaces: WatchedNamespace[]): void {
    const before = this.observed;
    this.observed = new Map(
      namespaces.map((watched) => [watched.id, this.observedAs(watched, before.get(watched.id))]),
    );
    this.views = [...this.observed.values()].map(({ view }) => view);
  }

  private refresh(): void {
    for (const one of this.observed.values()) readCounters(one);
    this.refreshedAt = this.now();
  }

  /** Reads what the resets are judged by, and counters from time to time without any. */
  read(resets: Reset[]): void {
    const unconnected = resets.filter((reset) => isOfListener(reset) || reset.reason === 'NO_SOCKET');
    const ends = new Set(unconnected.map(({ local }) => local.address));
    const holders = [...this.observed.values()].filter(({ view }) => view.addresses.some((one) => ends.has(one)));
    // No address tells of which namespace these are.
    const anywhere = resets.some((reset) => isOfListener(reset) || isLoopback(reset.local.address));
    if (anywhere || this.now() - this.refreshedAt > REFRESH) this.refresh();
    else for (const one of holders) readCounters(one);
    const senders = anywhere ? [...this.observed.values()].filter(({ view }) => mayHaveSent(view)) : [];
    this.readSockets(new Set([...holders, ...senders]));
  }

  /** Reads addresses and listeners, of many namespaces those that were read the longest ago. */
  private readSockets(wanted: Set<ObservedNamespace>): void {
    const old = [...wanted].filter(({ socketsAt }) => this.now() - socketsAt > SOCKETS_AGE);
    const first = old.sort((a, b) => a.socketsAt - b.socketsAt).slice(0, MOST_SOCKETS);
    for (const one of first) this.readSocketsOf(one);
  }

  private observedAs(watched: WatchedNamespace, before: ObservedNamespace | undefined): ObservedNamespace {
    // The kernel gives a namespace's inode number to another one when it is gone.
    const isSame = before?.watched.namespace === watched.namespace && before.watched.pod === watched.pod;
    const one = before && isSame ? before : unread(watched);
    const { guard, addresses } = watched;
    if (!guard.guarded || guard.drift > one.watched.guard.drift) one.unguardedAt = this.now();
    one.watched = watched;
    if (one.read === undefined && isReadable(watched.netPath)) {
      one.read = readAddresses(watched.netPath);
      readCounters(one);
    }
    one.view.addresses = [...addresses, ...(one.read ?? [])];
    return one;
  }

  private readSocketsOf(one: ObservedNamespace): void {
    const { netPath, addresses } = one.watched;
    one.socketsAt = this.now();
    if (!isReadable(netPath)) return;
    one.read = readAddresses(netPath);
    one.view.addresses = [...addresses, ...one.read];
    one.view.listeners = readListeners(netPath);
    one.view.listenersUnknown = false;
  }
}

function unread(watched: WatchedNamespace): ObservedNamespace {
  const { id, namespace, pod } = watched;
  const view = {
    id,
    label: `${namespace}/${pod}`,
    isNode: false,
    addresses: [],
    listeners: [],
    listenersUnknown: true,
  };
  const [invalid, resets] = [new RecentGrowth(), new RecentGrowth()];
  const never = Number.NEGATIVE_INFINITY;
  const counts = { invalidGrew: null, resetsGrew: null };
  return {
    watched,
    view: { ...view, ...counts },
    invalid,
    resets,
    read: undefined,
    socketsAt: never,
    unguardedAt: never,
  };
}

function readCounters(one: ObservedNamespace): void {
  const { invalid, resets } = readNamespaceCounters(one.watched.netPath);
  one.invalid.take(invalid);
  one.resets.take(resets);
  show(one);
}

function show({ view, invalid, resets }: ObservedNamespace): void {
  view.invalidGrew = invalid.left;
  view.resetsGrew = resets.left;
}
