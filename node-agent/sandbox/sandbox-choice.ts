// Which network namespace is a pod's: a decision from what the CNI cache says, what the namespaces hold, and what the
// pod's status says.
import { type CniCacheEntry, canonicalAddress, POD_INTERFACE } from './cni-cache-entry.ts';
import type { InspectedNamespace, RefusedNamespace } from './namespace-inspector.ts';

/** What the API server says of a pod. */
export interface PodIdentity {
  uid: string;
  namespace: string;
  name: string;
  /** status.podIPs; empty while unknown. */
  addresses: string[];
}

/** A pod's network namespace, verified. */
export interface Sandbox {
  /** The namespace's file, in the folder as it is mounted here. */
  path: string;
  inode: number;
  /** All that the namespace holds, without loopback and link-local addresses. */
  addresses: string[];
  containerId: string | null;
  foundBy: 'cni-cache' | 'addresses';
  /** Why other namespaces that looked like the pod's were not taken, in words. */
  others: string[];
}

/** No namespace is certain to be the pod's. */
export interface MissingSandbox {
  /** The reason in words. */
  missing: string;
}

/** A file of the cache that was read. */
export interface CachedSandbox extends CniCacheEntry {
  /** When it was written, in milliseconds since 1970: only for telling the newer of two. */
  writtenAt: number;
}

/** The entries of a pod that name the same namespace: one for each interface. */
export interface SandboxCandidate {
  netns: string;
  /** The interface of the pod's own address. */
  primary: CachedSandbox;
}

/** Whether an entry can be of this pod. Where the runtime tells the UID, the name alone is another pod's. */
export function isEntryOf(entry: CniCacheEntry, pod: PodIdentity): boolean {
  if (entry.podUid !== null) return entry.podUid === pod.uid;
  return entry.podNamespace === pod.namespace && entry.podName === pod.name;
}

/** The namespaces that the cache names for a pod, the newest first. */
export function candidatesOf(pod: PodIdentity, entries: CachedSandbox[]): SandboxCandidate[] {
  const byNetns = new Map<string, CachedSandbox[]>();
  for (const entry of entries) {
    if (entry.netns !== null && isEntryOf(entry, pod))
      byNetns.set(entry.netns, [...(byNetns.get(entry.netns) ?? []), entry]);
  }
  const candidates = [...byNetns].map(([netns, all]) => ({ netns, primary: primaryOf(all, addressesOf(pod)) }));
  return candidates.toSorted((a, b) => b.primary.writtenAt - a.primary.writtenAt);
}

/** With Multus a pod has one entry for each network. The first of podIPs is the cluster network's. */
function primaryOf(entries: CachedSandbox[], [address]: string[]): CachedSandbox {
  const rank = (entry: CachedSandbox) => {
    if (address !== undefined && entry.addresses.includes(address)) return 0;
    if (entry.ifName === POD_INTERFACE) return entry.addresses.length > 0 ? 1 : 2;
    return 3;
  };
  return entries.reduce((best, entry) => (rank(entry) < rank(best) ? entry : best));
}

/**
 * Takes the newest namespace that is certain to be the pod's. An entry with the pod's UID and a namespace that holds
 * what the entry says are enough: after a restart of the sandbox, status.podIPs has the old addresses until the kubelet
 * has written the new ones, and the containers start before. Without the UID the names are all there is, which the next
 * pod of a StatefulSet has too, so the namespace must hold the addresses of the pod's status.
 * @param candidates as candidatesOf orders them, with what each namespace was found to be
 */
export function chooseCandidate(
  pod: PodIdentity,
  candidates: { candidate: SandboxCandidate; found: InspectedNamespace | RefusedNamespace }[],
): Sandbox | MissingSandbox {
  const others: string[] = [];
  let chosen: Omit<Sandbox, 'others'> | undefined;
  for (const { candidate, found } of candidates) {
    const { containerId } = candidate.primary;
    const verified = 'refused' in found ? found : verify(pod, candidate.primary, found);
    if ('refused' in verified) others.push(verified.refused);
    else if (chosen) others.push(`${verified.path} is an older sandbox of the same pod`);
    else chosen = { ...verified, containerId, foundBy: 'cni-cache' };
  }
  return chosen ? { ...chosen, others } : { missing: others.join('; ') };
}

function verify(
  pod: PodIdentity,
  entry: CachedSandbox,
  found: InspectedNamespace,
): InspectedNamespace | RefusedNamespace {
  const ofStatus = addressesOf(pod);
  if (ofStatus.length > 0 && holds(found.addresses, ofStatus)) return found;
  const ofEntry = entry.podUid === null ? [] : entry.addresses;
  if (ofEntry.length > 0 && holds(found.addresses, ofEntry)) return found;
  const wanted = ofEntry.length > 0 ? ofEntry : ofStatus;
  if (wanted.length > 0) return { refused: `${found.path} does not hold ${wanted.join(' and ')}` };
  const untold = entry.podUid === null ? "the pod's UID" : 'an address';
  return { refused: `the CNI cache does not tell ${untold}, and the pod's status has no address yet` };
}

/**
 * The one namespace of the node that holds the pod's addresses. A pod with NET_ADMIN can give itself any address, so
 * two that hold it are none.
 * @param holders namespaces that hold the addresses of the pod's status, without those that the cache has for others
 */
export function chooseHolder(pod: PodIdentity, holders: InspectedNamespace[]): Sandbox | MissingSandbox {
  const wanted = addressesOf(pod).join(' and ');
  const [holder, ...more] = holders;
  if (!holder) return { missing: `no network namespace of the node is certain to hold ${wanted}` };
  if (more.length > 0)
    return {
      missing: `${holders.map(({ path }) => path).join(', ')} all hold ${wanted}: any of them may be the pod's`,
    };
  return { ...holder, containerId: null, foundBy: 'addresses', others: [] };
}

/** The addresses of the pod's status, as the kernel prints them. */
export function addressesOf(pod: PodIdentity): string[] {
  return pod.addresses.map((address) => canonicalAddress(address) ?? address);
}

/** Whether all that are wanted are among the addresses. */
export function holds(addresses: string[], wanted: string[]): boolean {
  return wanted.every((address) => addresses.includes(address));
}
