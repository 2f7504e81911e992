// Number, name and address forms that iptables-save and nft share.
import { isIP } from 'node:net';
import type { Value } from './model.ts';

/** IP protocol numbers by the names that the tools print (IANA). */
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

/** TCP flag bits (RFC 9293, section 3.1). */
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

/** The protocol's number from a name or number, or undefined for a name not known here. */
export function toProtocol(value: string | number): number | undefined {
  if (typeof value === 'number') return value;
  return PROTOCOLS[value] ?? toNumber(value);
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

/** The network as a value; without a length the one address. Undefined where it is none. */
export function toNetwork(address: string, length?: number): Value | undefined {
  const whole = { 0: 0, 4: 32, 6: 128 }[isIP(address.includes('%') ? '' : address)] ?? 0;
  const bits = length ?? whole;
  return whole > 0 && Number.isInteger(bits) && bits >= 0 && bits <= whole ? { address, length: bits } : undefined;
}
