// Changes TCP segments on their way from the gateway to the pod, with nft and without a raw socket: every Nth is moved
// far out of the window, or one chosen segment of a connection is changed.
import type { NetworkNamespace } from './network-namespaces.ts';
import type { StrayKind } from './stray-kinds.ts';

/** Where programs can be run in a network namespace, such as the sender's. */
export type ProgramRunner = Pick<NetworkNamespace, 'must'>;

/** Segments to which port are shifted, and where, and when, in the gateway's packet path. */
export interface StrayPlace {
  port?: number | undefined;
  hook?: string;
}

/**
 * Every Nth full segment to a port has its sequence number moved up by 2^30 (nft writes a constant, so that the
 * bit is set where it was 0, and carried where it was 1). The connection's own retransmission mends the stream if,
 * and only if, the pod dropped the stray segment. Segments leave as large GSO packets: 300 MB are about 5000.
 */
function strayTable(every: number, { port = 9000, hook = 'postrouting priority 0' }: StrayPlace): string {
  return `table inet stray {
  counter shifted {}
  chain out {
    type filter hook ${hook};
    tcp dport ${port} meta length > 1000 numgen inc mod ${every} == ${every - 1} counter name shifted goto shift
  }
  chain shift {
    tcp sequence & 0x40000000 == 0 tcp sequence set tcp sequence xor 0x40000000 accept
    tcp sequence set tcp sequence xor 0xc0000000 accept
  }
}
`;
}

/** Starts to shift every Nth segment that leaves the gateway. */
export async function startStrays(gateway: ProgramRunner, every: number, place: StrayPlace = {}): Promise<void> {
  await gateway.must('nft', ['-f', '-'], { input: strayTable(every, place) });
}

export async function stopStrays(gateway: ProgramRunner): Promise<void> {
  await gateway.must('nft', ['delete', 'table', 'inet', 'stray']);
}

/** How many segments have been shifted so far. */
export async function countStrays(gateway: ProgramRunner): Promise<number> {
  const printed = await gateway.must('nft', ['-j', 'list', 'counter', 'inet', 'stray', 'shifted']);
  const { nftables } = JSON.parse(printed) as { nftables: { counter?: { packets: number } }[] };
  return nftables.find(({ counter }) => counter)?.counter?.packets ?? 0;
}

/** The numbers that the next segment of a connection has. */
export interface Position {
  sequence: number;
  acknowledgement: number;
}

/** Notes the first sequence number of each side, whichever opens the connection. */
const NOTES = `table inet notes {
  set ours { typeof tcp sequence; flags dynamic; size 64; }
  set theirs { typeof tcp sequence; flags dynamic; size 64; }
  chain out {
    type filter hook postrouting priority 0;
    tcp flags & syn == syn add @ours { tcp sequence }
  }
  chain in {
    type filter hook prerouting priority 0;
    tcp flags & syn == syn add @theirs { tcp sequence }
  }
}
`;

/** Begins to note; what was noted before is forgotten. */
export async function startNotes(gateway: ProgramRunner): Promise<void> {
  await gateway.must('nft', ['-f', '-'], { input: `table inet notes {}\ndelete table inet notes\n${NOTES}` });
}

/**
 * The position of the gateway's next segment in the one connection that was opened since startNotes.
 * @param sent bytes that it has carried to the pod, and `received` from it
 */
export async function readPosition(gateway: ProgramRunner, sent: number, received: number): Promise<Position> {
  const printed = await gateway.must('nft', ['-j', 'list', 'table', 'inet', 'notes']);
  const { nftables } = JSON.parse(printed) as { nftables: { set?: { name: string; elem?: number[] } }[] };
  const first = (name: string) => {
    const noted = nftables.find(({ set }) => set?.name === name)?.set?.elem ?? [];
    if (noted.length !== 1) throw new Error(`${name}: ${noted.length} connections were noted, and one was expected`);
    return Number(noted[0]);
  };
  return { sequence: wrap(first('ours') + 1 + sent), acknowledgement: wrap(first('theirs') + 1 + received) };
}

/** Sequence numbers have 32 bits. */
function wrap(number: number): number {
  return ((number % 2 ** 32) + 2 ** 32) % 2 ** 32;
}

/** Ports of a segment from the gateway to the pod. */
export interface SegmentPorts {
  source: number;
  destination: number;
}

/** The DSCP value that marks the changed segment, by which it is found where it arrives. */
const MARKED = '0x2a';

/** Changes the next segment with data of these ports that leaves the gateway, and none after it. */
export async function aim(
  gateway: ProgramRunner,
  { source, destination }: SegmentPorts,
  at: Position,
  change: StrayKind['change'],
): Promise<void> {
  const changes = [
    ...(change?.sequence === undefined ? [] : [`tcp sequence set ${wrap(at.sequence + change.sequence)}`]),
    ...(change?.acknowledgement === undefined
      ? []
      : [`tcp ackseq set ${wrap(at.acknowledgement + change.acknowledgement)}`]),
    ...(change?.reset ? ['tcp flags set rst'] : []),
    // The sum of the rest is added to it when the segment leaves: see withSoftwareChecksums.
    ...(change?.checksum ? ['tcp checksum set 0x1234'] : []),
  ];
  const input = `table inet aimed {}
delete table inet aimed
table inet aimed {
  counter hits {}
  chain out {
    type filter hook postrouting priority 10;
    tcp sport ${source} tcp dport ${destination} tcp flags & psh == psh numgen inc mod 1000000 == 0 counter name hits ip dscp set ${MARKED} ${changes.join(' ')}
  }
}
`;
  await gateway.must('nft', ['-f', '-'], { input });
}

/** How many segments have been changed; it must be one. */
export async function countHits(gateway: ProgramRunner): Promise<number> {
  const printed = await gateway.must('nft', ['-j', 'list', 'counter', 'inet', 'aimed', 'hits']);
  const { nftables } = JSON.parse(printed) as { nftables: { counter?: { packets: number } }[] };
  return nftables.find(({ counter }) => counter)?.counter?.packets ?? 0;
}

/** After conntrack (-200), and before the exemption (-190) lets a segment pass as untracked. */
const WATCH = `table inet watch {
  set invalid { type inet_service . inet_service; flags dynamic; size 1024; }
  chain in {
    type filter hook prerouting priority -195;
    iifname "eth0" ip dscp ${MARKED} ct state invalid add @invalid { tcp sport . tcp dport }
  }
}
`;

/** Begins to note in the pod which changed segments conntrack calls INVALID, before any rule acts on it. */
export async function startWatch(pod: NetworkNamespace): Promise<void> {
  await pod.must('nft', ['-f', '-'], { input: WATCH });
}

/** Whether the changed segment of these ports was INVALID. */
export async function sawInvalid(pod: NetworkNamespace, { source, destination }: SegmentPorts): Promise<boolean> {
  const printed = await pod.must('nft', ['-j', 'list', 'set', 'inet', 'watch', 'invalid']);
  const { nftables } = JSON.parse(printed) as { nftables: { set?: { elem?: { concat: [number, number] }[] } }[] };
  const noted = nftables.flatMap(({ set }) => set?.elem ?? []);
  return noted.some(({ concat: [from, to] }) => from === source && to === destination);
}

/** By default veth leaves checksums out. With them computed in software, a test can make one wrong. */
export async function withSoftwareChecksums(gateway: ProgramRunner): Promise<void> {
  await gateway.must('ethtool', ['-K', 'eth0', 'tx', 'off']);
}
