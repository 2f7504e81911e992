// The network namespaces of the node, as /proc shows them to a container that sees all processes (hostPID).
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, readSync } from 'node:fs';
import { readSnmp, sumColumn } from '../../../lib/netfilter/proc.ts';
import { podNames, podUidOf } from './pod-names.ts';
import { parseFibTrie, parseIfInet6, parseListeners } from './proc-net.ts';
import type { Namespace } from './reset-origin.ts';

const MAX_PROCESSES = 50_000;
/** Listening sockets come first in /proc/net/tcp, and connections may be many. */
const MAX_BYTES = 262_144;
const LOG_FOLDERS = ['/var/log/pods', '/host/var/log/pods', '/proc/1/root/var/log/pods'];

export interface Counts {
  invalid: number | null;
  resets: number | null;
}

/** A namespace with what it has counted so far, and a process in it. */
export type Scanned = Omit<Namespace, 'invalidGrew' | 'resetsGrew'> & { pid: string; counts: Counts };

/** Every network namespace in which a process is. */
export function scanNamespaces(): Scanned[] {
  const members = new Map<string, string[]>();
  const pids = list('/proc').filter((name) => /^\d+$/.test(name));
  for (const pid of pids.slice(0, MAX_PROCESSES)) {
    const id = namespaceOf(pid);
    if (id !== undefined) members.set(id, [...(members.get(id) ?? []), pid]);
  }
  const names = podNames(LOG_FOLDERS.map(list).find((folders) => folders.length > 0) ?? []);
  const node = namespaceOf('1');
  return [...members].flatMap(([id, pids]) => describe(id, pids, id === node, names) ?? []);
}

/** Undefined where the process is gone, or not ours to see. */
export function namespaceOf(pid: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}

/** Read by way of a process of the namespace. */
export function readCounts(pid: string): Counts {
  return {
    invalid: sumColumn(text(`/proc/${pid}/net/stat/nf_conntrack`), 'invalid'),
    resets: readSnmp(text(`/proc/${pid}/net/snmp`), 'Tcp', 'OutRsts'),
  };
}

function describe(id: string, pids: string[], isNode: boolean, names: Map<string, string>): Scanned | undefined {
  const pid = pids.find((one) => text(`/proc/${one}/net/snmp`) !== undefined);
  if (pid === undefined) return undefined;
  const net = (file: string) => text(`/proc/${pid}/net/${file}`) ?? '';
  const addresses = [...parseFibTrie(net('fib_trie')), ...parseIfInet6(net('if_inet6'))];
  const listeners = [...parseListeners(net('tcp')), ...parseListeners(net('tcp6'))];
  const label = isNode ? 'the node' : labelOf(pids, names, addresses, id);
  return { id, label, isNode, addresses, listeners, pid, counts: readCounts(pid) };
}

function labelOf(pids: string[], names: Map<string, string>, addresses: string[], id: string): string {
  const uid = pids.map((pid) => podUidOf(text(`/proc/${pid}/cgroup`) ?? '')).find((found) => found !== undefined);
  const pod = uid === undefined ? undefined : (names.get(uid) ?? `pod ${uid}`);
  return [pod ?? addresses[0] ?? id, ...(pod && addresses[0] ? [`(${addresses[0]})`] : [])].join(' ');
}

/** The first MAX_BYTES of a file; undefined where it cannot be read. */
function text(path: string): string | undefined {
  try {
    if (!path.includes('/net/tcp')) return readFileSync(path, 'utf8');
    const file = openSync(path, 'r');
    try {
      return readUpTo(file);
    } finally {
      closeSync(file);
    }
  } catch {
    return undefined;
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

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
