// The packet that a verdict is about, and whether it meets a condition.
import { BlockList } from 'node:net';
import type { Mark } from './mark.ts';
import type { Comparison, Condition, Family, Value } from './model.ts';

/**
 * A TCP packet that conntrack has marked INVALID, arriving for this host: a segment, and no reset itself unless
 * `flags` says so. What is left out is not known, and a condition on it is "maybe".
 */
export interface Packet {
  family: Family;
  /** Name of the interface it arrives on; there is no other below it. */
  iif: string;
  /** fwmark on arrival. */
  mark?: number;
  source?: string;
  destination?: string;
  sourcePort?: number;
  destinationPort?: number;
  /** TCP flag bits (RFC 9293). */
  flags?: number;
}

/**
 * How conntrack sees the packet at a point of its way. Before conntrack runs, and after it found the packet
 * INVALID, the packet has no connection, and that reads as INVALID (net/netfilter/xt_conntrack.c, nft_ct.c).
 */
export type CtState = 'invalid' | 'untracked' | 'template';

/** The packet on its way: what rules can change of it. */
export interface Moment {
  ct: CtState;
  mark: Mark;
  /** Addresses, ports and flags are no longer those of the packet. */
  rewritten: boolean;
}

const TCP = 6;

/** Whether the condition holds: true, false, or undefined for "maybe". */
export function meets(packet: Packet, moment: Moment, condition: Condition): boolean | undefined {
  if ('constant' in condition) return condition.constant;
  const value = readField(packet, moment, condition);
  if (value === undefined) return undefined;
  const masked = typeof value === 'number' && condition.mask !== undefined ? (value & condition.mask) >>> 0 : value;
  return condition.oneOf.some((candidate) => matches(masked, candidate)) !== condition.negate;
}

function readField(packet: Packet, moment: Moment, { field, mask }: Comparison): string | number | undefined {
  switch (field) {
    case 'protocol':
      return TCP;
    case 'ctstate':
      return moment.ct === 'template' ? undefined : moment.ct;
    case 'connection':
      return moment.ct === 'template' ? undefined : 'none';
    case 'mark':
      return ((mask ?? 0xffffffff) & ~moment.mark.known) === 0 ? moment.mark.value : undefined;
    case 'family':
    case 'iif':
      return packet[field];
    default:
      return moment.rewritten ? undefined : packet[field];
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
  const type = first.includes(':') ? 'ipv6' : 'ipv4';
  if (address.includes(':') !== (type === 'ipv6')) return false;
  if ('address' in network) list.addSubnet(network.address, network.length, type);
  else list.addRange(network.addressFrom, network.addressTo, type);
  return list.check(address, type);
}
