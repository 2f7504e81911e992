// Rescues connections that hang. Since Linux 5.15.68 and 6.0 conntrack takes a segment that is less than a window over the
// window for sent, and every later segment of one side for INVALID: none of them arrives unless the connection is liberal.
import { ErrorLog, type Level, type Log } from '../log.ts';
import { MAX_NOTED } from '../netfilter/exemption.ts';
import { FAMILIES, familyOf } from '../netfilter/packet.ts';
import type { RescueResult } from './liberal-connection.ts';
import type { NotedConnection, Notes } from './noted-connections.ts';

/** What the rescuer needs from outside; tests give their own. */
export interface RescuerDependencies {
  /** Packets that conntrack has marked INVALID; null where it does not tell. */
  countInvalid(): number | null;
  /** Whether the table has an alarm, and raising it leads to a call of alarm(). */
  hearsAlarm(): boolean;
  readNotes(): Promise<Notes>;
  makeLiberal(connection: NotedConnection): Promise<RescueResult>;
  /** Makes room in the notes. Must not throw. */
  forget(connections: NotedConnection[]): Promise<void>;
  log: Log;
  /** Milliseconds of a clock that nobody sets: a step of the machine's clock changes no age. */
  now(): number;
  /** Milliseconds since 1970. */
  date(): number;
}

/** Who sent stray segments: one peer and one port of this pod. */
export interface StrayPeer {
  peer: string;
  port: number;
  segments: number;
  /** Connections that were rescued. */
  rescued: number;
  lastSeen: string;
}

/** Milliseconds from one round to the next look; more where rounds lead to nothing. */
const FIRST_GAP = 500;
const LAST_GAP = 2000;
/**
 * Milliseconds between two looks at the count of INVALID packets: an alarm that was missed is found so. A look costs half
 * a millisecond of CPU.
 */
const ALARMED_GAP = 10_000;
const UNALARMED_GAP = 1000;
/** Milliseconds between two rounds where connections are left that can be tried. */
const NEXT_ROUND = 20;
/** A connection that goes on to have stray segments is tried again after as many milliseconds, and not for ever. */
const RETRY_AFTER = 3000;
const MAX_TRIES = 5;
/** Segments may come while it is made liberal, so that a second try tells nothing. */
const PERSISTENT = 3;
/** Then a connection of the same ports is another one. */
const FORGET_AFTER = 60_000;
/** Programs that run at one time, and connections that one round takes on. */
const PARALLEL = 4;
const MAX_ROUND = 64;
const NEARLY_FULL = MAX_NOTED * 0.75;
/** Connections that may be tried at once, and how many more each second: a forged segment costs a program. */
const BURST = 1000;
const PER_SECOND = 20;
/** Connections and peers that are remembered, peers that are reported, and log lines a minute. */
const MAX_KNOWN = 2048;
const MAX_PEERS = 64;
const REPORTED_PEERS = 5;
const LINES_A_MINUTE = 10;

interface KnownConnection {
  /**
   * Segments when it was last tried. Undefined once it is liberal, until the notes are read again: those that came while
   * it was made liberal are no sign that it still hangs.
   */
  segments: number | undefined;
  at: number;
  tries: number;
}

export class Rescuer {
  rescued = 0;
  failed = 0;
  segments = 0;
  /** Connections that went on having stray segments after they were made liberal. */
  persistent = 0;
  private readonly known = new Map<string, KnownConnection>();
  private readonly peers = new Map<string, StrayPeer>();
  private lastInvalid: number | null | undefined;
  private lastSegments = 0;
  private gap = FIRST_GAP;
  /** A round runs, or the gap after it: an alarm leads to the next round. */
  private busy = false;
  private alarmed = false;
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;
  private budget = BURST;
  private budgetAt: number;
  private lines = { left: LINES_A_MINUTE, since: Number.NEGATIVE_INFINITY, suppressed: 0 };
  private readonly errors: ErrorLog;
  private readonly dependencies: RescuerDependencies;

  constructor(dependencies: RescuerDependencies) {
    this.dependencies = dependencies;
    this.errors = new ErrorLog(dependencies.log);
    this.budgetAt = dependencies.now();
  }

  start(): void {
    void this.look();
  }

  /** The kernel says that a stray segment was noted. */
  alarm(): void {
    this.alarmed = true;
    if (!this.busy) void this.look();
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  /** The peers of which stray segments came last, the last first. */
  lastPeers(): StrayPeer[] {
    return [...this.peers.values()].slice(-REPORTED_PEERS).reverse();
  }

  /** A round where there is reason for one, and then the next look. */
  private async look(): Promise<void> {
    clearTimeout(this.timer);
    const invalid = this.countInvalid();
    const wanted = this.alarmed || (invalid !== null && invalid !== (this.lastInvalid ?? 0));
    this.busy = wanted;
    this.alarmed = false;
    let wait = this.dependencies.hearsAlarm() ? ALARMED_GAP : UNALARMED_GAP;
    if (wanted) {
      const { tried, left } = await this.round();
      this.gap = tried > 0 ? FIRST_GAP : Math.min(this.gap * 2, LAST_GAP);
      wait = left > 0 && tried > 0 ? NEXT_ROUND : this.gap;
      // Where connections are left, the next look begins a round whatever the count.
      this.lastInvalid = left === 0 ? invalid : undefined;
    } else {
      this.gap = FIRST_GAP;
    }
    if (!this.stopped) this.timer = setTimeout(() => void this.look(), wait);
  }

  /** Null, too, while the namespace cannot be seen from outside: nobody waits for a look, so that none may throw. */
  private countInvalid(): number | null {
    try {
      return this.dependencies.countInvalid();
    } catch {
      return null;
    }
  }

  /**
   * Reads the notes and rescues what is new in them. Never throws.
   * @returns how many connections were tried, and how many are left for the next round
   */
  async round(): Promise<{ tried: number; left: number }> {
    let notes: Notes;
    try {
      notes = await this.dependencies.readNotes();
    } catch (error) {
      this.fail(error);
      return { tried: 0, left: 0 };
    }
    this.count(notes.segments);
    for (const one of notes.connections) {
      const known = this.known.get(keyOf(one));
      if (known) known.segments ??= one.segments;
    }
    // Of a connection that hangs more and more segments are noted, of a forged segment one.
    const wanted = notes.connections.filter((one) => this.isWanted(one)).sort((a, b) => b.segments - a.segments);
    const chosen = wanted.slice(0, Math.min(MAX_ROUND, this.takeBudget(Math.min(MAX_ROUND, wanted.length))));
    const queue = [...chosen];
    const work = async () => {
      for (let next = queue.shift(); next && !this.stopped; next = queue.shift()) await this.rescue(next);
    };
    await Promise.all(Array.from({ length: PARALLEL }, work));
    const dispensable = this.dispensable(notes.connections);
    if (dispensable.length > 0) await this.dependencies.forget(dispensable);
    const waiting = notes.connections.some((one) => this.isPending(one));
    return { tried: chosen.length, left: wanted.length - chosen.length + (waiting ? 1 : 0) };
  }

  /**
   * What makes room where a family's notes are nearly full: connections that were tried, and those with one segment,
   * as forged ones have. A connection that hangs is soon noted again.
   */
  private dispensable(connections: NotedConnection[]): NotedConnection[] {
    const families = FAMILIES.map((family) => connections.filter(({ source }) => familyOf(source) === family));
    const full = families.filter(({ length }) => length > NEARLY_FULL);
    return full.flat().filter((one) => one.segments <= 1 || this.known.has(keyOf(one)));
  }

  /** The table's counter starts at 0 when the table is put in anew. */
  private count(segments: number): void {
    this.segments += segments - (segments < this.lastSegments ? 0 : this.lastSegments);
    this.lastSegments = segments;
  }

  private isWanted(connection: NotedConnection): boolean {
    const known = this.known.get(keyOf(connection));
    if (!known || this.dependencies.now() - known.at > FORGET_AFTER) return true;
    return this.isPending(connection) && this.dependencies.now() - known.at >= RETRY_AFTER;
  }

  /** It had stray segments after it was tried, and may be tried again. */
  private isPending(connection: NotedConnection): boolean {
    const known = this.known.get(keyOf(connection));
    if (known?.segments === undefined) return false;
    return known.tries < MAX_TRIES && connection.segments !== known.segments;
  }

  private takeBudget(wanted: number): number {
    const now = this.dependencies.now();
    this.budget = Math.min(BURST, this.budget + ((now - this.budgetAt) / 1000) * PER_SECOND);
    this.budgetAt = now;
    const taken = Math.min(wanted, Math.floor(this.budget));
    this.budget -= taken;
    return taken;
  }

  private async rescue(connection: NotedConnection): Promise<void> {
    const key = keyOf(connection);
    const known = this.known.get(key);
    const before = known && this.dependencies.now() - known.at <= FORGET_AFTER ? known : undefined;
    const tries = (before?.tries ?? 0) + 1;
    let result: RescueResult | 'failed';
    try {
      result = await this.dependencies.makeLiberal(connection);
    } catch (error) {
      this.fail(error);
      result = 'failed';
    }
    const segments = result === 'rescued' ? undefined : connection.segments;
    remember(this.known, key, { segments, at: this.dependencies.now(), tries }, MAX_KNOWN);
    const first = result === 'rescued' && tries === 1;
    if (first) this.rescued++;
    this.notePeer(connection, connection.segments - (before?.segments ?? 0), first);
    if (first)
      this.logConnection(
        'info',
        'rescued',
        'a connection had stray segments and was made liberal in conntrack',
        connection,
      );
    if (tries !== PERSISTENT) return;
    this.persistent++;
    const message = 'a connection goes on having stray segments though it is liberal: look at checksums and flags';
    this.logConnection('warn', 'rescue-without-effect', message, connection);
  }

  private notePeer(connection: NotedConnection, segments: number, rescued: boolean): void {
    const { peer: source, port: destinationPort } = endsOf(connection);
    const key = `${source} ${destinationPort}`;
    const before = this.peers.get(key);
    const peer: StrayPeer = {
      peer: source,
      port: destinationPort,
      segments: (before?.segments ?? 0) + Math.max(segments, 0),
      rescued: (before?.rescued ?? 0) + (rescued ? 1 : 0),
      lastSeen: new Date(this.dependencies.date()).toISOString(),
    };
    remember(this.peers, key, peer, MAX_PEERS);
  }

  private logConnection(level: Level, event: string, message: string, connection: NotedConnection): void {
    const { segments } = connection;
    const { peer, peerPort, port } = endsOf(connection);
    const now = this.dependencies.now();
    if (now - this.lines.since >= 60_000) this.lines = { ...this.lines, left: LINES_A_MINUTE, since: now };
    if (this.lines.left <= 0) {
      this.lines.suppressed++;
      return;
    }
    this.lines.left--;
    const { suppressed } = this.lines;
    this.lines.suppressed = 0;
    this.dependencies.log(level, event, {
      message,
      ...{ peer, peerPort, port, segments },
      ...(suppressed > 0 ? { notLogged: suppressed } : {}),
    });
  }

  private fail(error: unknown): void {
    this.failed++;
    this.errors.note('rescue-failed', error);
  }
}

/** The peer, and the port of this namespace. */
function endsOf({ source, sourcePort, destination, destinationPort, outgoing }: NotedConnection) {
  return outgoing
    ? { peer: destination, peerPort: destinationPort, port: sourcePort }
    : { peer: source, peerPort: sourcePort, port: destinationPort };
}

function keyOf({ source, sourcePort, destination, destinationPort }: NotedConnection): string {
  return `${source} ${sourcePort} ${destination} ${destinationPort}`;
}

/** Puts the value last, and forgets the first where there are too many. */
function remember<V>(map: Map<string, V>, key: string, value: V, limit: number): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > limit && oldest !== undefined) map.delete(oldest);
}
