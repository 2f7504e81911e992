// Makes real INVALID packets and counts what became of them.
import { runCommand } from '../../../init-image/command.ts';
import type { Packet } from '../../../init-image/verdict/packet.ts';
import { ADDRESS } from '../namespaces.ts';

/** A probe: from where, and the packet as it arrives. Each has a port of its own, by which it is counted. */
export interface Probe {
  from: 'gateway' | 'pod';
  host: string;
  localPort: number;
  packet: Packet & { destinationPort: number };
}

const SYN_ACK = 0x12;

function probe(from: Probe['from'], family: 'ipv4' | 'ipv6', destinationPort: number): Probe {
  const loopback = family === 'ipv4' ? '127.0.0.1' : '::1';
  const destination = from === 'pod' ? loopback : ADDRESS.pod[family];
  const localPort = destinationPort + 40_000 - 9000;
  const packet = {
    family,
    iif: from === 'pod' ? 'lo' : 'eth0',
    mark: 0,
    source: from === 'pod' ? loopback : ADDRESS.gateway[family],
    destination,
    sourcePort: localPort,
    destinationPort,
    flags: SYN_ACK,
  };
  return { from, host: destination, localPort, packet };
}

export const PROBES = [
  probe('gateway', 'ipv4', 9001),
  probe('gateway', 'ipv6', 9002),
  probe('pod', 'ipv4', 9003),
  probe('pod', 'ipv6', 9004),
];

const PORTS = PROBES.map(({ packet }) => packet.destinationPort);

/**
 * A connect() whose SYN becomes a SYN/ACK: without a connection that is INVALID to conntrack, and a listening socket
 * answers it with a reset. On lo a packet keeps its connection from OUTPUT on, so that it must be changed before
 * conntrack sees it there (-200).
 */
export const SHAPER = `table inet shaper {
  chain output {
    type filter hook output priority -450;
    tcp dport ${PORTS[0]}-${PORTS.at(-1)} tcp flags & (syn | ack) == syn tcp flags set syn | ack
  }
}
`;

const counters = (kind: string) => PORTS.map((port) => `  counter ${kind}${port} {}`).join('\n');

/** Counts arrivals before everything else at ingress, and resets before everything else in output. */
export const OBSERVER = `table netdev observer {
${counters('arrived')}
  chain arrivals {
    type filter hook ingress devices = { eth0, lo } priority -500;
${PORTS.map((port) => `    tcp dport ${port} counter name arrived${port}`).join('\n')}
  }
}
table inet observer {
${counters('reset')}
  chain answers {
    type filter hook output priority -500;
${PORTS.map((port) => `    tcp sport ${port} tcp flags rst counter name reset${port}`).join('\n')}
  }
}
`;

export interface Counted {
  arrived: number;
  reset: number;
}

/** What the observer has counted, by destination port of the probe. @param env of the nft that reads it */
export async function readObserver(env: NodeJS.ProcessEnv): Promise<Map<number, Counted>> {
  const { stdout } = await runCommand('nft', ['-j', 'list', 'counters'], { timeout: 10_000, env });
  const { nftables } = JSON.parse(stdout) as { nftables: { counter?: { name: string; packets: number } }[] };
  const packets = (name: string) => nftables.find(({ counter }) => counter?.name === name)?.counter?.packets ?? 0;
  return new Map(PORTS.map((port) => [port, { arrived: packets(`arrived${port}`), reset: packets(`reset${port}`) }]));
}
