// Changes one segment of a connection on its way from the gateway to the pod: no raw socket needed.
import type { Namespace } from './namespaces.ts';
import type { StrayKind } from './stray-kinds.ts';

/** Where a connection stands: the numbers that its next segment has. */
export interface Position {
  sequence: number;
  acknowledgement: number;
}

/** Notes the first sequence number of each side. */
const NOTES = `table inet notes {
  set ours { typeof tcp sequence; flags dynamic; size 64; }
  set theirs { typeof tcp sequence; flags dynamic; size 64; }
  chain out {
    type filter hook postrouting priority 0;
    tcp dport 9000 tcp flags & (syn | ack) == syn add @ours { tcp sequence }
  }
  chain in {
    type filter hook prerouting priority 0;
    tcp sport 9000 tcp flags & (syn | ack) == (syn | ack) add @theirs { tcp sequence }
  }
}
`;

/** Begins to note; what was noted before is forgotten. */
export async function startNotes(gateway: Namespace): Promise<void> {
  await gateway.must('nft', ['-f', '-'], { input: `table inet notes {}\ndelete table inet notes\n${NOTES}` });
}

/**
 * Where the one connection that was opened since startNotes stands.
 * @param sent bytes that it has carried to the pod, and `received` from it
 */
export async function readPosition(gateway: Namespace, sent: number, received: number): Promise<Position> {
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

/** What the changed segment is known by where it arrives. */
const MARKED = '0x2a';

/** Changes the next segment with data that leaves `port`, and none after it. */
export async function aim(gateway: Namespace, port: number, at: Position, change: StrayKind['change']): Promise<void> {
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
    tcp sport ${port} tcp dport 9000 tcp flags & psh == psh numgen inc mod 1000000 == 0 counter name hits ip dscp set ${MARKED} ${changes.join(' ')}
  }
}
`;
  await gateway.must('nft', ['-f', '-'], { input });
}

/** How many segments have been changed: one, or the aim was bad. */
export async function countHits(gateway: Namespace): Promise<number> {
  const printed = await gateway.must('nft', ['-j', 'list', 'counter', 'inet', 'aimed', 'hits']);
  const { nftables } = JSON.parse(printed) as { nftables: { counter?: { packets: number } }[] };
  return nftables.find(({ counter }) => counter)?.counter?.packets ?? 0;
}

const WATCH = `table inet watch {
  set invalid { type inet_service; flags dynamic; size 1024; }
  chain in {
    type filter hook prerouting priority -160;
    iifname "eth0" tcp dport 9000 ip dscp ${MARKED} ct state invalid add @invalid { tcp sport }
  }
}
`;

/** Begins to note in the pod which changed segments conntrack calls INVALID, before any rule drops it. */
export async function startWatch(pod: Namespace): Promise<void> {
  await pod.must('nft', ['-f', '-'], { input: WATCH });
}

/** Whether the changed segment from the gateway's `port` was INVALID. */
export async function sawInvalid(pod: Namespace, port: number): Promise<boolean> {
  const printed = await pod.must('nft', ['-j', 'list', 'set', 'inet', 'watch', 'invalid']);
  const { nftables } = JSON.parse(printed) as { nftables: { set?: { elem?: number[] } }[] };
  return nftables.some(({ set }) => set?.elem?.includes(port));
}

/** veth carries no checksums unless it is told to: then what a test writes there spoils the sum. */
export async function withSoftwareChecksums(gateway: Namespace): Promise<void> {
  await gateway.must('ethtool', ['-K', 'eth0', 'tx', 'off']);
}
