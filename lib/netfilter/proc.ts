// What the kernel tells about a network namespace in /proc. Only the names of legacy tables need a privilege.
import { errors } from '../errors.ts';
import { type NamespaceAccess, ownNamespace } from './namespace-access.ts';
import type { Family } from './packet.ts';
import { readProcFile } from './proc-file.ts';

/** Evidence that needs no rule: see docs/metrics.md for what each number says. */
export interface Evidence {
  kernelRelease: string;
  /** net.netfilter.nf_conntrack_tcp_be_liberal of this namespace; null where conntrack is not there. */
  tcpBeLiberal: number | null;
  /** Packets that conntrack has marked INVALID in this namespace, all CPUs. */
  conntrackInvalid: number | null;
  /** TCP segments sent with RST in this namespace. */
  tcpResetsSent: number | null;
}

/** Below /proc/sys/net; it is there once conntrack is. */
export const BE_LIBERAL = 'netfilter/nf_conntrack_tcp_be_liberal';

/** Reads the evidence; a number that this kernel does not give is null. */
export function readEvidence(namespace: NamespaceAccess = ownNamespace): Evidence {
  const liberal = namespace.readSysctl(BE_LIBERAL);
  return {
    kernelRelease: readProcFile('/proc/sys/kernel/osrelease')?.trim() ?? 'unknown',
    tcpBeLiberal: liberal === undefined ? null : Number(liberal),
    conntrackInvalid: countInvalid(namespace),
    tcpResetsSent: readSnmp(namespace.readNet('snmp'), 'Tcp', 'OutRsts'),
  };
}

/** Packets that conntrack has marked INVALID in the namespace; null where it does not tell. */
export function countInvalid(namespace: NamespaceAccess = ownNamespace): number | null {
  return sumColumn(namespace.readNet('stat/nf_conntrack'), 'invalid');
}

/** As countInvalid, for who asks each second: the text is mostly the same as before. */
export function makeInvalidCounter(namespace: NamespaceAccess): () => number | null {
  let last: { text: string | undefined; count: number | null } | undefined;
  return () => {
    const text = namespace.readNet('stat/nf_conntrack');
    if (last === undefined || text !== last.text) last = { text, count: sumColumn(text, 'invalid') };
    return last.count;
  };
}

/** /proc/net/stat/nf_conntrack: a header, then a line of hexadecimal numbers for each CPU. */
export function sumColumn(text: string | undefined, name: string): number | null {
  const [header, ...lines] = (text ?? '')
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/));
  const column = header?.indexOf(name) ?? -1;
  if (column < 0) return null;
  return lines.reduce((sum, line) => sum + Number.parseInt(line[column] ?? '0', 16), 0);
}

/** /proc/net/snmp: for each protocol a line of names and a line of numbers. */
export function readSnmp(text: string | undefined, protocol: string, name: string): number | null {
  const [names, values] = (text ?? '').split('\n').filter((line) => line.startsWith(`${protocol}:`));
  const column = names?.split(' ').indexOf(name) ?? -1;
  return column < 0 ? null : Number(values?.split(' ')[column]);
}

/**
 * Names of the interfaces in the namespace. /proc/net/dev follows the namespace; /sys/class/net may not.
 * @throws CodedError NAMESPACE_UNREADABLE where there are none: each namespace has a loopback device
 */
export function readInterfaces(namespace: NamespaceAccess = ownNamespace): string[] {
  const lines = (namespace.readNet('dev') ?? '').split('\n').slice(2);
  const names = lines.map((line) => line.split(':')[0]?.trim() ?? '').filter((name) => name !== '');
  if (names.length === 0) throw errors.NAMESPACE_UNREADABLE('dev');
  return names;
}

/** Whether packets of the family can arrive here, and if not, why; `unsupported`: the kernel lacks the family. */
export type FamilyStatus = { present: true } | { present: false; reason: string; unsupported: boolean };

/** IPv4 is always there: lo has 127.0.0.1. /proc/net/if_inet6 is empty without addresses, absent without IPv6. */
export function readFamilyStatus(family: Family, namespace: NamespaceAccess = ownNamespace): FamilyStatus {
  if (family === 'ipv4') return { present: true };
  const addresses = namespace.readNet('if_inet6');
  if (addresses === undefined) return { present: false, reason: 'the kernel has no IPv6', unsupported: true };
  if (addresses.trim() === '') return { present: false, reason: 'the pod has no IPv6 address', unsupported: false };
  return { present: true };
}

/** Tables that iptables-legacy holds here. Reading /proc creates none; naming one to iptables-legacy would. */
export function readLegacyTables(family: Family, namespace: NamespaceAccess = ownNamespace): string[] {
  const text = namespace.readNet(family === 'ipv4' ? 'ip_tables_names' : 'ip6_tables_names');
  return (text ?? '').split('\n').filter((name) => name !== '');
}

/** CAP_NET_RAW of include/uapi/linux/capability.h. */
const NET_RAW = 1n << 13n;

/** Whether this process can read what iptables-legacy holds: it opens a raw socket to ask. */
export function canReadLegacy(): boolean {
  const effective = readProcFile('/proc/self/status')?.match(/^CapEff:\s*([0-9a-f]+)$/m)?.[1] ?? '0';
  return (BigInt(`0x${effective}`) & NET_RAW) !== 0n;
}
