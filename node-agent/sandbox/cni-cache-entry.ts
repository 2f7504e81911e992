// One file of the CNI library's result cache: what a runtime asked for, and what the plugins answered. libcni writes it
// in cacheAdd (libcni/api.go) when ADD has succeeded, not atomically, so that it may be read half-written.
import { isIP } from 'node:net';
import { isObject, isObjectList, type JsonObject, objectAt } from '../../lib/json.ts';

/** An interface of a pod. Names are as libcni has them. */
export interface CniCacheEntry {
  /** Id of the pod's sandbox. */
  containerId: string;
  networkName: string;
  ifName: string;
  /** Null where the runtime does not pass it on: containerd before 1.5, cri-dockerd. */
  podUid: string | null;
  podNamespace: string;
  podName: string;
  /** Base name of the namespace's file; null where the file has no name in a folder called netns, as /proc/PID/ns/net. */
  netns: string | null;
  /** Addresses of the interface as the kernel prints them, without prefix, loopback and link-local ones. */
  addresses: string[];
}

/** The interface that the kubelet's runtimes ask for; further ones (net1) are those of Multus and its like. */
export const POD_INTERFACE = 'eth0';
const MAX_ADDRESSES = 64;
/** As ValidateContainerID and ValidateNetworkName of libcni; the limit is a file name's. */
const ID = /^[a-zA-Z0-9][\w.-]{0,254}$/;
/** IFNAMSIZ, and what ValidateInterfaceName allows. */
const INTERFACE = /^[^\s/:\0]{1,15}$/;
const UID = /^[\w-]{1,64}$/;
/** Names of namespaces and pods: DNS subdomains. */
const OBJECT_NAME = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;
/**
 * Only the base name is taken: the folder is mounted elsewhere in the agent's container, and /run, /var/run and
 * /run/docker are all in use. A base name can name nothing outside of the folder.
 */
const NAMED_NAMESPACE = /^\/(?:[^/\0]+\/)*netns\/([\w@:][\w.@:-]{0,254})$/;

/**
 * Reads a file of the cache.
 * @returns undefined for what is not a complete entry of a Kubernetes pod: half-written, older than libcni 0.8 (no pod
 *   is named there), of another program, or anything else at all
 */
export function parseCniCacheEntry(text: string): CniCacheEntry | undefined {
  const file = parseJson(text);
  if (!isObject(file) || file['kind'] !== 'cniCacheV1') return undefined;
  const names = new Map(pairsIn(file['cniArgs']));
  const containerId = matching(file['containerId'], ID);
  const networkName = matching(file['networkName'], ID);
  const ifName = matching(file['ifName'], INTERFACE);
  const podNamespace = matching(names.get('K8S_POD_NAMESPACE'), OBJECT_NAME);
  const podName = matching(names.get('K8S_POD_NAME'), OBJECT_NAME);
  if (!containerId || !networkName || !ifName || !podNamespace || !podName) return undefined;
  const uid = names.get('K8S_POD_UID') ?? '';
  // An UID that is none must not turn into "the runtime does not tell": names alone would count then.
  if (uid !== '' && !UID.test(uid)) return undefined;
  const result = objectAt(file, 'result');
  return {
    containerId,
    networkName,
    ifName,
    podUid: uid === '' ? null : uid,
    podNamespace,
    podName,
    netns: namedNamespace(file['netns']) ?? namedNamespace(sandboxOf(result, ifName)),
    addresses: addressesIn(result),
  };
}

/** An address as the kernel prints it, so that addresses can be compared as text; undefined for what is none. */
export function canonicalAddress(text: string): string | undefined {
  const version = text.includes('%') ? 0 : isIP(text);
  if (version === 4) return text;
  return version === 6 ? new URL(`http://[${text}]`).hostname.slice(1, -1) : undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function matching(value: unknown, form: RegExp): string | undefined {
  return typeof value === 'string' && form.test(value) ? value : undefined;
}

function pairsIn(value: unknown): [string, string][] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((pair: unknown): [string, string][] => {
    const [name, text]: unknown[] = Array.isArray(pair) ? pair : [];
    return typeof name === 'string' && typeof text === 'string' ? [[name, text]] : [];
  });
}

function namedNamespace(path: unknown): string | null {
  return typeof path === 'string' ? (NAMED_NAMESPACE.exec(path)?.[1] ?? null) : null;
}

/** The namespace's file as the plugin says it, for libcni before 1.2, which does not write `netns`. */
function sandboxOf(result: JsonObject, ifName: string): unknown {
  const inPod = interfacesOf(result).filter(({ sandbox }) => typeof sandbox === 'string' && sandbox !== '');
  return (inPod.find(({ name }) => name === ifName) ?? inPod[0])?.['sandbox'];
}

function interfacesOf(result: JsonObject): JsonObject[] {
  return isObjectList(result['interfaces']) ? result['interfaces'] : [];
}

function addressesIn(result: JsonObject): string[] {
  const interfaces = interfacesOf(result);
  const ips = isObjectList(result['ips']) ? result['ips'] : [];
  // An address may belong to an interface of the node, which has no sandbox. Without an index it is the pod's.
  const inPod = ips.filter(({ interface: index }) => typeof index !== 'number' || interfaces[index]?.['sandbox']);
  // CNI 0.1 and 0.2 have one address of each family.
  const old = ['ip4', 'ip6'].map((family) => objectAt(result, family)['ip']);
  const found = [...inPod.map(({ address }) => address), ...old].flatMap((cidr) => {
    const address = typeof cidr === 'string' ? canonicalAddress(cidr.split('/')[0] ?? '') : undefined;
    return address === undefined || /^(127\.|::1$|fe80:)/.test(address) ? [] : [address];
  });
  return [...new Set(found)].slice(0, MAX_ADDRESSES);
}
