// The packet that is evaluated, and the conditions that rules put on it: fields, values as iptables-save and nft print
// them, and whether a packet meets a condition.
import { BlockList, SocketAddress } from 'node:net';

export type Family = 'ipv4' | 'ipv6';
export const FAMILIES: Family[] = ['ipv4', 'ipv6'];

/** The interface on which a packet has passed OUTPUT, and conntrack there, before it arrives. */
export const LOOPBACK = 'lo';

/**
 * A TCP packet that arrives for this host. A member that is left out is not known: a condition on it is undecidable.
 */
export interface Packet {
  /** How conntrack classifies it: INVALID, so that it never has a connection, or the first packet of a connection. */
  ctstate: 'invalid' | 'new';
  family: Family;
  /** Name of the interface on which it arrives; that interface is no port of a bridge or bond. */
  iif: string;
  /** fwmark on arrival. */
  mark?: number;
  source?: string;
  destination?: string;
  sourcePort?: number;
  /** A number, or any port of a range. */
  destinationPort?: number | PortRange;
  /** TCP flag bits (RFC 9293). An INVALID packet without them is taken for a segment without RST. */
  flags?: number;
  socket?: SocketState;
  /** Addresses of this host, one of which is the destination where that is not known. */
  localAddresses?: readonly string[];
}

/** TCP ports, both ends included. */
export interface PortRange {
  from: number;
  to: number;
}

/**
 * Which socket of the namespace the packet would meet. `own`: an established one with its exact four-tuple, whose local
 * address and port no listener on a specific address has, and to whose port nothing is redirected. `listener`: a
 * listener on the packet's destination address. `none`: neither of them; there may be a listener on all addresses.
 */
export type SocketState = 'own' | 'listener' | 'none';

/**
 * How conntrack sees the packet at a point of its path. `none`: it has no connection, because conntrack has not run yet
 * or has found the packet INVALID. Rules see both as state INVALID (net/netfilter/xt_conntrack.c, nft_ct.c).
 */
export type CtState = 'none' | 'new' | 'untracked' | 'template';

/** What rules can change of a packet. */
export interface PacketState {
  ct: CtState;
  mark: Mark;
  /** A rule has changed addresses, ports or flags: they are no longer those of the packet. */
  rewritten: boolean;
}

/** A packet mark of which only some bits may be known. */
export interface Mark {
  value: number;
  /** Bits of `value` that are known; the others are 0 there. */
  known: number;
}

export const UNKNOWN_MARK: Mark = { value: 0, known: 0 };

/** A mark that is known in full, or not at all. */
export function toMark(value: number | undefined): Mark {
  return value === undefined ? UNKNOWN_MARK : { value: value >>> 0, known: 0xffffffff };
}

/** new mark = (old & and) ^ xor, on 32 bits */
export interface MarkChange {
  and: number;
  xor: number;
}

/** The mark after the change; a change that is not known leaves no bit known. */
export function changeMark(old: Mark, change: MarkChange | undefined): Mark {
  if (!change) return UNKNOWN_MARK;
  const known = (old.known | ~change.and) >>> 0;
  return { value: (((old.value & change.and) ^ change.xor) & known) >>> 0, known };
}

export type Field =
  | 'iif'
  | 'protocol'
  | 'family'
  | 'ctstate'
  | 'mark'
  | 'source'
  | 'destination'
  | 'sourcePort'
  | 'destinationPort'
  | 'socket'
  | 'flags';

export type Value =
  | string
  | number
  | { from: number; to: number }
  | { address: string; length: number }
  | { addressFrom: string; addressTo: string }
  | { startsWith: string };

/** Holds where the field (after the mask, if any) is one of the values; or where it is none of them, if negated. */
export interface Comparison {
  field: Field;
  mask?: number;
  oneOf: Value[];
  negate: boolean;
  text: string;
}

/** `text` is for people. `undefined` in place of true or false: the condition is undecidable. */
export type Condition =
  | Comparison
  | { constant: boolean | undefined; text: string }
  /** The packet's destination is one of these, each as `endpointOf` writes it: listeners on specific addresses. */
  | { listeners: ReadonlySet<string>; text: string }
  /** The packet's destination port is one of these: ports that connections are redirected to. */
  | { redirected: ReadonlySet<number>; text: string }
  /** Depends on whether conntrack has a connection for the packet. */
  | { withoutConnection: boolean; withConnection: boolean | undefined; text: string };

/** A condition that this program cannot decide. */
export function undecidable(text: string): Condition {
  return { constant: undefined, text };
}

/** A condition that holds only for packets with a connection, and for all of those. */
export function needsConnection(text: string): Condition {
  return { withoutConnection: false, withConnection: true, text };
}

/** Whether the condition holds: true, false, or undefined where it is undecidable. */
export function meets(packet: Packet, state: PacketState, condition: Condition): boolean | undefined {
  if ('constant' in condition) return condition.constant;
  if ('withConnection' in condition) {
    if (state.ct === 'template') return undefined;
    return state.ct === 'new' ? condition.withConnection : condition.withoutConnection;
  }
  if ('redirected' in condition) return state.rewritten ? undefined : isRedirected(packet, condition.redirected);
  if ('listeners' in condition) return state.rewritten ? undefined : isListener(packet, condition.listeners);
  const value = readField(packet, state, condition);
  if (value === undefined) return undefined;
  if (typeof value === 'object') return rangeMeets(value, condition);
  const masked = typeof value === 'number' && condition.mask !== undefined ? (value & condition.mask) >>> 0 : value;
  return condition.oneOf.some((candidate) => matches(masked, candidate)) !== condition.negate;
}

/** By definition no listener has the local address and port of a socket of its own. */
function isListener({ socket, destination, destinationPort }: Packet, listeners: ReadonlySet<string>) {
  if (socket === 'own') return false;
  if (destination === undefined || typeof destinationPort !== 'number') return undefined;
  return listeners.has(endpointOf(destination, destinationPort));
}

/** By definition nothing is redirected to the port of a socket of its own. */
function isRedirected({ socket, destinationPort }: Packet, ports: ReadonlySet<number>): boolean | undefined {
  if (socket === 'own') return false;
  return typeof destinationPort === 'number' ? ports.has(destinationPort) : undefined;
}

/** The family of an address as text. */
export function familyOf(address: string): Family {
  return address.includes(':') ? 'ipv6' : 'ipv4';
}

/** An address and a port as one text, the same for every way to write an IPv6 address. */
export function endpointOf(address: string, port: number): string {
  return familyOf(address) === 'ipv6' ? `${URL.parse(`http://[${address}]`)?.hostname} ${port}` : `${address} ${port}`;
}

/** Undefined where some ports of the range meet the condition and others do not. */
function rangeMeets({ from, to }: PortRange, { oneOf, negate }: Comparison): boolean | undefined {
  const ranges = oneOf.flatMap((value): PortRange[] => {
    if (typeof value === 'number') return [{ from: value, to: value }];
    return typeof value === 'object' && 'from' in value ? [value] : [];
  });
  if (ranges.some((range) => range.from <= from && range.to >= to)) return !negate;
  return ranges.some((range) => range.from <= to && range.to >= from) ? undefined : negate;
}

function readField(
  packet: Packet,
  state: PacketState,
  { field, mask }: Comparison,
): string | number | PortRange | undefined {
  switch (field) {
    case 'protocol':
      return PROTOCOLS['tcp'];
    case 'ctstate':
      return state.ct === 'template' ? undefined : state.ct === 'none' ? 'invalid' : state.ct;
    case 'mark':
      return ((mask ?? 0xffffffff) & ~state.mark.known) === 0 ? state.mark.value : undefined;
    case 'family':
    case 'iif':
      return packet[field];
    default:
      return state.rewritten ? undefined : packet[field];
  }
}

function matches(value: string | number, candidate: Value): boolean {
  if (typeof candidate !== 'object') return value === candidate;
  if ('startsWith' in candidate) return String(value).startsWith(candidate.startsWith);
  if ('from' in candidate) return Number(value) >= candidate.from && Number(value) <= candidate.to;
  return inNetwork(String(value), candidate);
}

type Network = Extract<Value, { address: string } | { addressFrom: string }>;

function inNetwork(address: string, network: Network): boolean {
  const list = new BlockList();
  const first = 'address' in network ? network.address : network.addressFrom;
  const type = familyOf(first);
  if (familyOf(address) !== type) return false;
  if ('address' in network) list.addSubnet(network.address, network.length, type);
  else list.addRange(network.addressFrom, network.addressTo, type);
  return list.check(address, type);
}

/**
 * IP protocol numbers by the names that the tools print where the image has no /etc/protocols (IANA). With one they
 * print any name that it has: TCP is `tcp` everywhere, so that another name is another protocol.
 */
const PROTOCOLS: Record<string, number> = {
  icmp: 1,
  igmp: 2,
  ipip: 4,
  tcp: 6,
  udp: 17,
  dccp: 33,
  gre: 47,
  esp: 50,
  ah: 51,
  'ipv6-icmp': 58,
  icmpv6: 58,
  sctp: 132,
  udplite: 136,
};

/** TCP flag bits (RFC 9293, section 3.1), and iptables' words for none and all of them. */
export const TCP_FLAGS: Record<string, number> = {
  FIN: 1,
  SYN: 2,
  RST: 4,
  PSH: 8,
  ACK: 16,
  URG: 32,
  ECE: 64,
  ECN: 64,
  CWR: 128,
  NONE: 0,
  ALL: 63,
};

/** A whole number from decimal or 0x text, or undefined. */
export function toNumber(text: string): number | undefined {
  return /^(0x[0-9a-f]+|\d+)$/i.test(text) ? Number(text) : undefined;
}

/** No protocol has this number: a name that is not known here. */
const OTHER_PROTOCOL = 256;

/** The protocol's number from a name or number; a name that is not known here is some other protocol than TCP. */
export function toProtocol(value: string | number): number {
  if (typeof value === 'number') return value;
  return PROTOCOLS[value.toLowerCase()] ?? toNumber(value) ?? OTHER_PROTOCOL;
}

/** The bits of a comma-separated list of TCP flags, or undefined where one is not known. */
export function toFlags(text: string): number | undefined {
  let bits = 0;
  for (const name of text.split(',')) {
    const bit = TCP_FLAGS[name.toUpperCase()];
    if (bit === undefined) return undefined;
    bits |= bit;
  }
  return bits;
}

/** node:net's isIP has a pattern for which V8 keeps 150 KB of code. */
function isAddress(text: string): boolean {
  if (text.includes('%') || text.includes('\0')) return false;
  try {
    new SocketAddress({ address: text, family: familyOf(text) });
    return true;
  } catch {
    return false;
  }
}

/** The network as a value; without a length the one address. Undefined where the text is no address. */
export function toNetwork(address: string, length?: number): Value | undefined {
  const whole = !isAddress(address) ? 0 : familyOf(address) === 'ipv4' ? 32 : 128;
  const bits = length ?? whole;
  return whole > 0 && Number.isInteger(bits) && bits >= 0 && bits <= whole ? { address, length: bits } : undefined;
}
