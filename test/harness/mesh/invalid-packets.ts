// Real INVALID packets from the node to a pod, and the resets that come back. This process is in the node's network.
import { connect } from 'node:net';
import { PORT } from '../../../tools/mesh/istio-installation.ts';
import { inPod } from '../cluster/node-side.ts';
import type { Pod } from '../cluster/pod-status.ts';
import { must } from '../netns/processes.ts';
import { eventually } from '../wait-until.ts';

/** Ports to send from, one a pod and family: below those that the kernel chooses (ip_local_port_range). */
const FIRST_PORT = 20_000;
const LAST_PORT = 21_999;
/**
 * A connect() whose SYN becomes a SYN/ACK before conntrack sees it: without a connection that is INVALID, and a
 * listening socket answers it with a reset.
 */
const SHAPER = `table inet shaper
delete table inet shaper
table inet shaper {
  set resets { type inet_service; flags dynamic; size 4096; }
  chain output {
    type filter hook output priority -450;
    tcp sport ${FIRST_PORT}-${LAST_PORT} tcp flags & (syn | ack) == syn tcp flags set syn | ack
  }
  chain input {
    type filter hook prerouting priority -500;
    tcp dport ${FIRST_PORT}-${LAST_PORT} tcp flags rst add @resets { tcp dport }
  }
}
`;
const ARRIVALS = 'e2e-arrivals';
let nextPort = FIRST_PORT;

/** Starts to shape. @returns what ends it */
export async function startShaper(): Promise<() => Promise<unknown>> {
  await must('nft', ['-f', '-'], { input: SHAPER });
  return () => must('nft', ['delete', 'table', 'inet', 'shaper']);
}

/**
 * Sends an INVALID packet to port 9000 of each of the pod's addresses, and waits until it has arrived there.
 * @returns address to whether a reset came back
 */
export async function sendInvalid(pod: Pod): Promise<Map<string, 'dropped' | 'reset'>> {
  const { namespace, name } = pod.metadata;
  const addresses = (pod.status.podIPs ?? []).map(({ ip }) => ip);
  const ports = new Map(addresses.map((address) => [address, nextPort++]));
  // Counted before conntrack (-200), and taken away again: the ruleset is not ours to change.
  const rules = [...ports.values()].map((port) => `add rule inet ${ARRIVALS} in tcp sport ${port} counter`);
  const chain = `add chain inet ${ARRIVALS} in { type filter hook prerouting priority -500; }`;
  await inPod(namespace, name, 'nft', [`add table inet ${ARRIVALS}`, chain, ...rules].join('; '));
  try {
    const sockets = [...ports].map(([host, localPort]) =>
      connect({ host, port: PORT, localPort }).on('error', () => undefined),
    );
    await eventually(`INVALID packets arrive at ${name}`, () => allArrived(namespace, name), 15_000);
    for (const socket of sockets) socket.destroy();
    const resets = await seenResets();
    return new Map([...ports].map(([address, port]) => [address, resets.has(port) ? 'reset' : 'dropped']));
  } finally {
    await inPod(namespace, name, 'nft', 'delete', 'table', 'inet', ARRIVALS);
  }
}

async function allArrived(namespace: string, pod: string): Promise<boolean> {
  const listed = await inPod(namespace, pod, 'nft', 'list', 'table', 'inet', ARRIVALS);
  return !/packets 0 /.test(listed);
}

/** A reset is sent before the arriving packet's processing ends, so that it is here once the arrival was read. */
async function seenResets(): Promise<Set<number>> {
  const { nftables } = JSON.parse(await must('nft', ['-j', 'list', 'set', 'inet', 'shaper', 'resets'])) as {
    nftables: { set?: { elem?: number[] } }[];
  };
  return new Set(nftables.flatMap(({ set }) => set?.elem ?? []));
}
