// Which network namespace a reset was sent from. The event does not say; its addresses mostly do.
import type { Endpoint, Reset } from './trace-line.ts';

/** A network namespace of the node, as its /proc files show it. */
export interface Namespace {
  /** Inode of the namespace: its identity. */
  id: string;
  /** Namespace and name of the pod, or what else is known of it. */
  label: string;
  isNode: boolean;
  addresses: string[];
  listeners: Endpoint[];
  /** Packets marked INVALID since the watch began that no reset is put down to yet; null where it is not known. */
  invalidGrew: number | null;
  /** Since the watch began. */
  resetsGrew: number | null;
}

export interface Place {
  /** One, or several where it cannot be told which. */
  candidates: Namespace[];
  how: 'address' | 'process' | 'listener' | 'not found';
}

const ANY = new Set(['0.0.0.0', '::']);

/**
 * @param ownerId the namespace of the task that ran, which counts where the task itself sent the reset
 * @returns namespaces that it can have been: those of the address, or for a listening socket those that listen on the
 *   port; of these the ones that have sent a reset since the watch began
 */
export function placeOf(reset: Reset, namespaces: Namespace[], ownerId: string | undefined): Place {
  const owners = reset.active ? namespaces.filter(({ id }) => id === ownerId) : [];
  if (owners.length > 0) return { candidates: owners, how: 'process' };
  const { local } = reset;
  const holders = namespaces.filter(({ addresses }) => addresses.includes(local.address));
  if (holders.length > 0) return { candidates: sendersOf(holders), how: 'address' };
  const ports = isLoopback(local.address) ? [local.port, reset.remote.port] : [];
  const listening = namespaces.filter(({ listeners }) =>
    listeners.some((one) => ports.includes(one.port) || (listens(reset) && isSame(one, local))),
  );
  if (listening.length === 0) return { candidates: [], how: 'not found' };
  return { candidates: struckOf(sendersOf(listening)), how: 'listener' };
}

/** Both ends of such a connection are in one namespace, and one of them is a port that is listened on. */
export function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.');
}

/** Those that have sent a reset at all, if that tells any apart. */
function sendersOf(namespaces: Namespace[]): Namespace[] {
  const senders = namespaces.filter(({ resetsGrew }) => resetsGrew === null || resetsGrew > 0);
  return senders.length > 0 ? senders : namespaces;
}

export function listens({ state, local }: Reset): boolean {
  return state === 'TCP_LISTEN' || (state === undefined && ANY.has(local.address));
}

/** Where some have seen INVALID packets and others have not, it was one of the former, if it was this. */
function struckOf(senders: Namespace[]): Namespace[] {
  const struck = senders.filter(({ invalidGrew }) => invalidGrew === null || invalidGrew > 0);
  return struck.length > 0 ? struck : senders;
}

function isSame(listener: Endpoint, local: Endpoint): boolean {
  if (listener.port !== local.port) return false;
  return listener.address === local.address || (ANY.has(listener.address) && ANY.has(local.address));
}
