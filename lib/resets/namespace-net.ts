// What a network namespace tells of itself in its /proc/net: addresses, listening sockets, counters.
import { closeSync, openSync, readSync } from 'node:fs';
import { addressOfWords, parseFibTrie, parseIfInet6 } from '../netfilter/local-addresses.ts';
import { readSnmp, sumColumn } from '../netfilter/proc.ts';
import { readProcFile } from '../netfilter/proc-file.ts';
import type { Endpoint } from './trace-line.ts';

/**
 * Bytes read of one file. In tcp and tcp6 listening sockets come first, and there may be many connections. What runs in
 * the namespace decides how long these files are.
 */
const MAX_BYTES = 262_144;
/** TCP_LISTEN in /proc/net/tcp. */
const LISTEN = '0A';

/** Path of a file of the namespace's /proc/net. @throws where the namespace cannot be seen */
export type NetPath = (file: string) => string;

/** Counters of a network namespace since it was created; null where they cannot be read. */
export interface NodeNamespaceCounters {
  /** Packets that conntrack marked INVALID. */
  invalid: number | null;
  /** Resets sent. */
  resets: number | null;
}

/** Reads the counters of a namespace. */
export function readNamespaceCounters(netPath: NetPath): NodeNamespaceCounters {
  return {
    invalid: sumColumn(counterFile(netPath, 'stat/nf_conntrack'), 'invalid'),
    resets: readSnmp(counterFile(netPath, 'snmp'), 'Tcp', 'OutRsts'),
  };
}

/** Own addresses of a namespace, without loopback and link-local. */
export function readAddresses(netPath: NetPath): string[] {
  return [...parseFibTrie(readStart(netPath, 'fib_trie')), ...parseIfInet6(readStart(netPath, 'if_inet6'))];
}

/**
 * Listening sockets of a namespace. Slow, some milliseconds: the kernel goes through the connections of all namespaces.
 */
export function readListeners(netPath: NetPath): Endpoint[] {
  return [...parseListeners(readStart(netPath, 'tcp')), ...parseListeners(readStart(netPath, 'tcp6'))];
}

/**
 * Listening sockets in /proc/net/tcp or tcp6 (net/ipv4/tcp_ipv4.c). Addresses are hexadecimal, in words of 32 bits in
 * the machine's byte order: little-endian on every architecture that Node supports except s390x.
 */
export function parseListeners(text: string): Endpoint[] {
  return text.split('\n').flatMap((line) => {
    const [, local = '', , state] = line.trim().split(/\s+/);
    const [address = '', port = ''] = local.split(':');
    return state === LISTEN ? [{ address: addressOfWords(address), port: Number.parseInt(port, 16) }] : [];
  });
}

/** Whether the namespace can be seen now. */
export function isReadable(netPath: NetPath): boolean {
  return counterFile(netPath, 'snmp') !== undefined;
}

function counterFile(netPath: NetPath, file: string): string | undefined {
  try {
    return readProcFile(netPath(file));
  } catch {
    return undefined;
  }
}

/** The first MAX_BYTES of a file; '' where it cannot be read. */
function readStart(netPath: NetPath, file: string): string {
  try {
    const opened = openSync(netPath(file), 'r');
    try {
      return readUpTo(opened);
    } finally {
      closeSync(opened);
    }
  } catch {
    return '';
  }
}

function readUpTo(file: number): string {
  const buffer = Buffer.alloc(MAX_BYTES);
  let filled = 0;
  for (let more = 1; more > 0 && filled < MAX_BYTES; filled += more) {
    more = readSync(file, buffer, filled, MAX_BYTES - filled, null);
  }
  return buffer.toString('latin1', 0, filled);
}
