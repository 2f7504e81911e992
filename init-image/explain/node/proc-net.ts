// /proc/PID/net of a network namespace: who listens, and which addresses are its own.
import { type Endpoint, plainAddress } from './trace-line.ts';

const LISTEN = '0A';

/**
 * Listening sockets in /proc/net/tcp or tcp6 (net/ipv4/tcp_ipv4.c): addresses in hexadecimal, each 32 bits in the
 * machine's byte order, which is little-endian on every architecture that Node ships for but s390x.
 */
export function parseListeners(text: string): Endpoint[] {
  return text.split('\n').flatMap((line) => {
    const [, local = '', , state] = line.trim().split(/\s+/);
    const [address = '', port = ''] = local.split(':');
    return state === LISTEN ? [{ address: fromWords(address), port: Number.parseInt(port, 16) }] : [];
  });
}

function fromWords(hex: string): string {
  const words = hex.match(/.{8}/g) ?? [];
  const bytes = words.flatMap((word) => (word.match(/../g) ?? []).reverse());
  return fromBytes(bytes.map((byte) => Number.parseInt(byte, 16)));
}

function fromBytes(bytes: number[]): string {
  if (bytes.length === 4) return bytes.join('.');
  const mapped = bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
  if (mapped) return bytes.slice(12).join('.');
  const groups = bytes.flatMap((byte, i) => (i % 2 === 0 ? [((byte << 8) | (bytes[i + 1] ?? 0)).toString(16)] : []));
  // As the kernel prints it (%pI6c, RFC 5952): URL has the same rule, so that texts can be compared.
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

/** Own IPv4 addresses in /proc/net/fib_trie: an address, then a line `/32 host LOCAL`. Loopback is left out. */
export function parseFibTrie(text: string): string[] {
  const found = [...text.matchAll(/\|-- (\S+)\n\s+\/32 host LOCAL/g)].map(([, address = '']) => address);
  return [...new Set(found)].filter((address) => !address.startsWith('127.'));
}

/** Own IPv6 addresses in /proc/net/if_inet6, which holds 32 hexadecimal digits first. Loopback and link-local are left out. */
export function parseIfInet6(text: string): string[] {
  const words = text.split('\n').flatMap((line) => line.match(/^[0-9a-f]{32}(?= )/) ?? []);
  const addresses = words.map((hex) => fromBytes((hex.match(/../g) ?? []).map((byte) => Number.parseInt(byte, 16))));
  return addresses.filter((address) => address !== '::1' && !address.startsWith('fe80:')).map(plainAddress);
}
