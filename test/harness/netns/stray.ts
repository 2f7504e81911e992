// Pushes TCP segments far out of the window on their way from the gateway to the pod: no raw socket needed.
import type { Namespace } from './namespaces.ts';

/** Where programs can be run in the sender's network namespace. */
type Inside = Pick<Namespace, 'must'>;

/**
 * Every Nth full segment to port 9000 has its sequence number moved up by 2^30 (nft writes a constant, so that the
 * bit is set where it was 0, and carried where it was 1). The connection's own retransmission mends the stream if,
 * and only if, the pod dropped the stray segment. Segments leave as large GSO packets: 300 MB are about 5000.
 */
function strayTable(every: number): string {
  return `table inet stray {
  counter shifted {}
  chain out {
    type filter hook postrouting priority 0;
    tcp dport 9000 meta length > 1000 numgen inc mod ${every} == ${every - 1} counter name shifted goto shift
  }
  chain shift {
    tcp sequence & 0x40000000 == 0 tcp sequence set tcp sequence xor 0x40000000 accept
    tcp sequence set tcp sequence xor 0xc0000000 accept
  }
}
`;
}

/** Starts to shift every Nth segment that leaves the gateway. */
export async function startStrays(gateway: Inside, every: number): Promise<void> {
  await gateway.must('nft', ['-f', '-'], { input: strayTable(every) });
}

export async function stopStrays(gateway: Inside): Promise<void> {
  await gateway.must('nft', ['delete', 'table', 'inet', 'stray']);
}

/** How many segments have been shifted so far. */
export async function countStrays(gateway: Inside): Promise<number> {
  const printed = await gateway.must('nft', ['-j', 'list', 'counter', 'inet', 'stray', 'shifted']);
  const { nftables } = JSON.parse(printed) as { nftables: { counter?: { packets: number } }[] };
  return nftables.find(({ counter }) => counter)?.counter?.packets ?? 0;
}
