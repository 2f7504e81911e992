// The packets of a comparison: where each comes from, which socket of the pod it would meet, and how it arrives.
import type { Packet, SocketState } from '../../../lib/netfilter/packet.ts';
import { ADDRESS } from '../netns/network-namespaces.ts';

/** Each has a port of its own, by which it is counted. */
export interface Probe {
  from: 'gateway' | 'pod';
  host: string;
  localPort: number;
  packet: Packet & { destination: string; destinationPort: number; socket: SocketState };
}

const SYN_ACK = 0x12;
const SYN_ACK_URG = 0x32;

function probe(socket: SocketState, from: Probe['from'], family: 'ipv4' | 'ipv6', destinationPort: number): Probe {
  const loopback = family === 'ipv4' ? '127.0.0.1' : '::1';
  const destination = from === 'pod' ? loopback : ADDRESS.pod[family];
  const localPort = destinationPort + 40_000 - 9000;
  const packet = {
    ctstate: 'invalid' as const,
    family,
    iif: from === 'pod' ? 'lo' : 'eth0',
    mark: 0,
    source: from === 'pod' ? loopback : ADDRESS.gateway[family],
    destination,
    sourcePort: localPort,
    destinationPort,
    flags: socket === 'own' ? SYN_ACK_URG : SYN_ACK,
    socket,
  };
  return { from, host: destination, localPort, packet };
}

/** Packets that must not reach a socket: a listening one, on all addresses or on theirs, answers with a reset. */
export const STRAY_PROBES = [
  probe('none', 'gateway', 'ipv4', 9001),
  probe('none', 'gateway', 'ipv6', 9002),
  probe('none', 'pod', 'ipv4', 9003),
  probe('none', 'pod', 'ipv6', 9004),
  probe('listener', 'gateway', 'ipv4', 9005),
  probe('listener', 'gateway', 'ipv6', 9006),
];

/** Packets of established connections, whose sockets answer with an acknowledgement. */
export const OWN_PROBES = [
  probe('own', 'gateway', 'ipv4', 9007),
  probe('own', 'gateway', 'ipv6', 9008),
  probe('own', 'pod', 'ipv4', 9009),
  probe('own', 'pod', 'ipv6', 9010),
];

export const PROBES = [...STRAY_PROBES, ...OWN_PROBES];
