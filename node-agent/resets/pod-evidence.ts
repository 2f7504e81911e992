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

  /** Takes over which namespaces there are now. The counters of new ones are read, so that growth is known from here on. */
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
    const driftBefore = before?.watched.guard.drift ?? watched.guard.drift;
    const wasUnguarded = !watched.guard.guarded || watched.guard.drift > driftBefore;
    const unguardedAt = wasUnguarded ? this.now() : (before?.unguardedAt ?? Number.NEGATIVE_INFINITY);
    if (before) return Object.assign(before, { watched, unguardedAt });
    const { id, namespace, pod } = watched;
    const addresses = addressesOf(watched);
    const unread = { listeners: [], listenersUnknown: true, invalidGrew: null, resetsGrew: null };
    const view = { id, label: `${namespace}/${pod}`, isNode: false, addresses, ...unread };
    const [invalid, resets] = [new RecentGrowth(), new RecentGrowth()];
    const made = { watched, view, invalid, resets, socketsAt: Number.NEGATIVE_INFINITY, unguardedAt };
    readCounters(made);
    return made;
  }

  private readSocketsOf(one: ObservedNamespace): void {
    const { netPath } = one.watched;
    one.socketsAt = this.now();
    if (!isReadable(netPath)) return;
    one.view.addresses = addressesOf(one.watched);
    one.view.listeners = readListeners(netPath);
    one.view.listenersUnknown = false;
  }
}

function addressesOf({ addresses, netPath }: WatchedNamespace): string[] {
  return [...new Set([...addresses, ...readAddresses(netPath)])];
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
