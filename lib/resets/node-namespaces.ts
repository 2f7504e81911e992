// The network namespaces of the node, as /proc shows them to a container that sees all processes (hostPID).
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, readSync } from 'node:fs';
import { addressText, parseFibTrie, parseIfInet6 } from '../netfilter/local-addresses.ts';
import { readSnmp, sumColumn } from '../netfilter/proc.ts';
import { readProcFile } from '../netfilter/proc-file.ts';
import type { Endpoint } from './trace-line.ts';

const MAX_PROCESSES = 50_000;
/** Bytes read of /proc/net/tcp: listening sockets come first, and there may be many connections. */
const MAX_BYTES = 262_144;
const LOG_FOLDERS = ['/var/log/pods', '/host/var/log/pods', '/proc/1/root/var/log/pods'];
/** TCP_LISTEN in /proc/net/tcp. */
const LISTEN = '0A';

/** A network namespace of the node, with what it has counted since the watch began. */
export interface NodeNamespace {
  /** Such as net:[4026531840]: the inode number is the namespace's identity. */
  id: string;
  /** NAMESPACE/NAME (ADDRESS) of the pod, or what is known of it. */
  label: string;
  isNode: boolean;
  addresses: string[];
  listeners: Endpoint[];
  /** INVALID packets that no reset is attributed to yet; null where the count is unknown. */
  invalidGrew: number | null;
  /** Resets sent; null where the count is unknown. */
  resetsGrew: number | null;
}

/** Counters of a network namespace since it was created; null where they cannot be read. */
export interface NodeNamespaceCounters {
  /** Packets that conntrack marked INVALID. */
  invalid: number | null;
  /** Resets sent. */
  resets: number | null;
}

/** A namespace as one scan finds it, with a process through which its counters can be read. */
export type ScannedNamespace = Omit<NodeNamespace, 'invalidGrew' | 'resetsGrew'> & {
  pid: string;
  counters: NodeNamespaceCounters;
};

/**
 * Whether this process runs in the node's network namespace and sees all processes, as in `kubectl debug node/NAME`.
 * Only outside of pid namespaces is process 2 the kernel thread kthreadd.
 */
export function isOnNode(): boolean {
  const own = namespaceOf('self');
  return readProcFile('/proc/2/comm')?.trim() === 'kthreadd' && own !== undefined && own === namespaceOf('1');
}

/** Scans every network namespace that has a process. */
export function scanNamespaces(): ScannedNamespace[] {
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

/** Id of a process's network namespace; undefined where the process has ended or cannot be inspected. */
export function namespaceOf(pid: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}

/** Reads the counters of a process's network namespace. */
export function readNamespaceCounters(pid: string): NodeNamespaceCounters {
  return {
    invalid: sumColumn(text(`/proc/${pid}/net/stat/nf_conntrack`), 'invalid'),
    resets: readSnmp(text(`/proc/${pid}/net/snmp`), 'Tcp', 'OutRsts'),
  };
}

function describe(
  id: string,
  pids: string[],
  isNode: boolean,
  names: Map<string, string>,
): ScannedNamespace | undefined {
  const pid = pids.find((one) => text(`/proc/${one}/net/snmp`) !== undefined);
  if (pid === undefined) return undefined;
  const net = (file: string) => text(`/proc/${pid}/net/${file}`) ?? '';
  const addresses = [...parseFibTrie(net('fib_trie')), ...parseIfInet6(net('if_inet6'))];
  const listeners = [...parseListeners(net('tcp')), ...parseListeners(net('tcp6'))];
  const label = isNode ? 'the node' : labelOf(pids, names, addresses, id);
  return { id, label, isNode, addresses, listeners, pid, counters: readNamespaceCounters(pid) };
}

function labelOf(pids: string[], names: Map<string, string>, addresses: string[], id: string): string {
  const uid = pids.map((pid) => podUidOf(text(`/proc/${pid}/cgroup`) ?? '')).find((found) => found !== undefined);
  const pod = uid === undefined ? undefined : (names.get(uid) ?? `pod ${uid}`);
  return [pod ?? addresses[0] ?? id, ...(pod && addresses[0] ? [`(${addresses[0]})`] : [])].join(' ');
}

/**
 * The pod's UID in /proc/PID/cgroup; undefined for a process outside of pods. The kubelet writes `pod<uid>` with dashes
 * (cgroupfs) or underscores (systemd).
 */
export function podUidOf(cgroup: string): string | undefined {
  const [, uid] =
    cgroup.match(/pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})(?=[./\n]|$)/m) ?? [];
  return uid?.replaceAll('_', '-');
}

/**
 * Names of pods by UID, without the API server.
 * @param folders names in /var/log/pods: NAMESPACE_NAME_UID (BuildPodLogsDirectory of pkg/kubelet/kuberuntime). Neither
 *   NAMESPACE nor NAME can contain an underscore.
 * @returns UID to NAMESPACE/NAME
 */
export function podNames(folders: string[]): Map<string, string> {
  return new Map(
    folders.flatMap((folder): [string, string][] => {
      const [namespace, name, uid] = folder.split('_');
      return namespace && name && uid ? [[uid, `${namespace}/${name}`]] : [];
    }),
  );
}

/**
 * Listening sockets in /proc/net/tcp or tcp6 (net/ipv4/tcp_ipv4.c). Addresses are hexadecimal, in words of 32 bits in
 * the machine's byte order: little-endian on every architecture that Node supports except s390x.
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
  return addressText(Buffer.concat(words.map((word) => Buffer.from(word, 'hex').reverse())));
}

/** A file's text, of /proc/net/tcp the first MAX_BYTES; undefined where it cannot be read. */
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
