// The addresses of a network namespace, as files of its /proc/net list them.
import { endianness } from 'node:os';
import type { Family } from './packet.ts';

/** All addresses of interfaces that are up: `fib_trie` has an address, then a line `/32 host LOCAL`. */
export function localAddresses(fibTrie: string, ifInet6: string): Record<Family, string[]> {
  const found = [...fibTrie.matchAll(/\|-- (\S+)\n\s+\/32 host LOCAL/g)].map(([, address = '']) => address);
  // Each line of `if_inet6` begins with 32 hexadecimal digits.
  const words = ifInet6.split('\n').flatMap((line) => line.match(/^[0-9a-f]{32}(?= )/) ?? []);
  return { ipv4: [...new Set(found)], ipv6: words.map((word) => addressText(Buffer.from(word, 'hex'))) };
}

/** Own IPv4 addresses, without loopback, in /proc/net/fib_trie. */
export function parseFibTrie(text: string): string[] {
  return localAddresses(text, '').ipv4.filter((address) => !address.startsWith('127.'));
}

/** Own IPv6 addresses, without loopback and link-local, in /proc/net/if_inet6. */
export function parseIfInet6(text: string): string[] {
  return localAddresses('', text).ipv6.filter((address) => address !== '::1' && !address.startsWith('fe80:'));
}

/**
 * An address of /proc/net/tcp or tcp6 (net/ipv4/tcp_ipv4.c): 32-bit words in network byte order, each printed as a number of
 * the machine.
 * @param hex 8 or 32 digits
 */
export function addressOfWords(hex: string): string {
  const words = (hex.match(/.{8}/g) ?? []).map((word) => Buffer.from(word, 'hex'));
  return addressText(Buffer.concat(endianness() === 'LE' ? words.map((word) => word.reverse()) : words));
}

/**
 * @param bytes 4 or 16 of them
 * @returns the address as the kernel prints it (%pI6c, RFC 5952), so that addresses can be compared as text; an
 *   IPv4-mapped one in the form of IPv4
 */
export function addressText(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  const mapped = bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
  if (mapped) return bytes.subarray(12).join('.');
  const groups = Array.from({ length: 8 }, (_, i) =>
    (((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0)).toString(16),
  );
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}
