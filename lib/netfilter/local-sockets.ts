// Which local ports and addresses the TCP sockets of a network namespace have, as /proc/net tells.
import { closeSync, openSync, readSync } from 'node:fs';
import { monotonicNow } from '../clock.ts';
import { addressOfWords } from './local-addresses.ts';
import { type NamespaceAccess, ownNamespace } from './namespace-access.ts';
import { type Family, familyOf, type PortRange } from './packet.ts';

/** A socket in LISTEN that is bound to one address. */
export interface SpecificListener {
  address: string;
  port: number;
}

export interface LocalSockets {
  /** Of the interfaces that are up. */
  addresses: Record<Family, string[]>;
  listeners: Record<Family, SpecificListener[]>;
  /** net.ipv4.ip_local_port_range: local ports of connections that the namespace opens, both families. */
  ephemeralPorts: PortRange;
  /** When they were read, by monotonicNow(), and how many TCP sockets were in use then. */
  seen?: { at: number; inUse: string };
}

/** Below /proc/sys/net. */
export const PORT_RANGE = 'ipv4/ip_local_port_range';

/** The kernel's default (net/ipv4/af_inet.c, inet_init_net). */
const DEFAULT_RANGE: PortRange = { from: 32_768, to: 60_999 };

/** Milliseconds for which listeners that were read stand, while as many sockets are in use. */
const STANDS_FOR = 300_000;

/**
 * Reads the addresses of the namespace, the listeners that are bound to specific ones, and the range of ephemeral ports.
 * Needs no privilege.
 * @param before what was read before. It stands for some minutes while as many sockets are in use: behind the last
 *   listener the kernel walks through the sockets of all namespaces, which takes milliseconds
 */
export function readLocalSockets(before?: LocalSockets, namespace: NamespaceAccess = ownNamespace): LocalSockets {
  const seen = { at: monotonicNow(), inUse: socketsInUse(namespace) };
  const addresses = namespace.addresses();
  if (before?.seen?.inUse === seen.inUse && seen.at - before.seen.at < STANDS_FOR) return { ...before, addresses };
  const found = [
    ...parseListeners(readListenLines(namespace.netPath('tcp'))),
    ...parseListeners(readListenLines(namespace.netPath('tcp6'))),
  ];
  const ofFamily = (family: Family) => found.filter(({ address }) => familyOf(address) === family);
  return {
    addresses,
    listeners: { ipv4: ofFamily('ipv4'), ipv6: ofFamily('ipv6') },
    ephemeralPorts: parsePortRange(namespace.readSysctl(PORT_RANGE)),
    seen,
  };
}

/** Such as `TCP: inuse 5 ...` and `TCP6: inuse 3` (sockstat_seq_show, net/ipv4/proc.c, net/ipv6/proc.c). */
function socketsInUse(namespace: NamespaceAccess): string {
  const texts = ['sockstat', 'sockstat6'].map((file) => namespace.readNet(file) ?? '');
  return texts.map((text) => text.match(/^TCP6?: inuse \d+/m)?.[0] ?? '').join(' ');
}

/** Whether a socket of this namespace listens on the port, on any address. */
export function hasListener(port: number): boolean {
  const wanted = port.toString(16).toUpperCase().padStart(4, '0');
  return ['/proc/net/tcp', '/proc/net/tcp6'].some((path) =>
    [...readListenLines(path).matchAll(LINE)].some(([, , listed, state]) => listed === wanted && state === LISTEN),
  );
}

/** `32768\t60999`; the kernel's default where the text is not of that form. */
export function parsePortRange(text: string | undefined): PortRange {
  const [, from, to] = text?.match(/^(\d+)\s+(\d+)\s*$/) ?? [];
  return from === undefined || to === undefined ? DEFAULT_RANGE : { from: Number(from), to: Number(to) };
}

const CHUNK = 16_384;
/** More of a list of sockets is never read: some 7,000 listeners. */
const MAX_TEXT = 1_000_000;

/** The lines of listeners: the kernel lists them before all other sockets (tcp_seek_last_pos, net/ipv4/tcp_ipv4.c). */
function readListenLines(path: string): string {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch {
    return '';
  }
  try {
    const buffer = Buffer.alloc(CHUNK);
    let text = '';
    while (text.length < MAX_TEXT) {
      const length = readSync(file, buffer);
      text += buffer.toString('latin1', 0, length);
      if (length === 0 || hasOther(text)) break;
    }
    return text;
  } catch {
    return '';
  } finally {
    closeSync(file);
  }
}

/** TCP_LISTEN (include/net/tcp_states.h) in the column `st`. */
const LISTEN = '0A';
const LINE = /^ *\d+: ([0-9A-F]+):([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} ([0-9A-F]{2}) /gm;

function hasOther(text: string): boolean {
  return [...text.slice(-CHUNK).matchAll(LINE)].some(([, , , state]) => state !== LISTEN);
}

/**
 * @param text of /proc/net/tcp or /proc/net/tcp6 (Documentation/networking/proc_net_tcp.rst)
 * @returns the listeners on specific addresses, each once; an IPv6 socket on an IPv4-mapped address has the IPv4 address
 */
export function parseListeners(text: string): SpecificListener[] {
  const found = new Map<string, SpecificListener>();
  for (const [, hex = '', port = '', state] of text.matchAll(LINE)) {
    if (state !== LISTEN || /^0+$/.test(hex)) continue;
    const address = toAddress(hex);
    if (address !== undefined) found.set(`${address} ${port}`, { address, port: Number.parseInt(port, 16) });
  }
  return [...found.values()];
}

/** Undefined where it is no address, or stands for several. */
function toAddress(hex: string): string | undefined {
  if (hex.length !== 8 && hex.length !== 32) return undefined;
  const address = addressOfWords(hex);
  // A listener on ::ffff:0.0.0.0 has all IPv4 addresses.
  return hex.length === 32 && address === '0.0.0.0' ? undefined : address;
}
