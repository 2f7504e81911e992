// The network namespaces of the node, as /proc shows them to a container that sees all processes (hostPID).
import { readdirSync, readlinkSync } from 'node:fs';
import { readProcFile } from '../netfilter/proc-file.ts';
import {
  type NetPath,
  type NodeNamespaceCounters,
  readAddresses,
  readListeners,
  readNamespaceCounters,
} from './namespace-net.ts';
import type { Endpoint } from './trace-line.ts';

const MAX_PROCESSES = 50_000;
const LOG_FOLDERS = ['/var/log/pods', '/host/var/log/pods', '/proc/1/root/var/log/pods'];

/** A network namespace of the node, with what it has counted during the watch. */
export interface NodeNamespace {
  /** Such as net:[4026531840]: the inode number is the namespace's identity. */
  id: string;
  /** NAMESPACE/NAME (ADDRESS) of the pod, or what is known of it. */
  label: string;
  isNode: boolean;
  addresses: string[];
  listeners: Endpoint[];
  /** Whether the listeners have not been read. */
  listenersUnknown?: boolean;
  /** INVALID packets that no reset is attributed to yet; null where the count is unknown. */
  invalidGrew: number | null;
  /** Resets sent; null where the count is unknown. */
  resetsGrew: number | null;
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
export function readCountersOf(pid: string): NodeNamespaceCounters {
  return readNamespaceCounters(netPathOf(pid));
}

function netPathOf(pid: string): NetPath {
  return (file) => `/proc/${pid}/net/${file}`;
}

function describe(
  id: string,
  pids: string[],
  isNode: boolean,
  names: Map<string, string>,
): ScannedNamespace | undefined {
  const pid = pids.find((one) => readProcFile(netPathOf(one)('snmp')) !== undefined);
  if (pid === undefined) return undefined;
  const netPath = netPathOf(pid);
  const addresses = readAddresses(netPath);
  const label = isNode ? 'the node' : labelOf(pids, names, addresses, id);
  const counters = readNamespaceCounters(netPath);
  return { id, label, isNode, addresses, listeners: readListeners(netPath), pid, counters };
}

function labelOf(pids: string[], names: Map<string, string>, addresses: string[], id: string): string {
  const uid = pids
    .map((pid) => podUidOf(readProcFile(`/proc/${pid}/cgroup`) ?? ''))
    .find((found) => found !== undefined);
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

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
