// Which network namespace sent a reset. The kernel's event does not name it, but its addresses mostly identify it.
import type { NodeNamespace } from './node-namespaces.ts';
import type { Endpoint, Reset } from './trace-line.ts';

export interface ResetOrigin {
  /** The namespace, or all that are possible. */
  candidates: NodeNamespace[];
  foundBy: 'address' | 'process' | 'listener' | 'not found';
}

const ANY = new Set(['0.0.0.0', '::']);

/**
 * Finds the namespaces that can have sent the reset, in this order: the namespace of the process that sent it, those
 * that have its local address, those that listen on its port. Namespaces that have sent no reset since the watch began
 * are left out, unless none remains.
 * @param processNamespace id of the namespace of the reset's process; used only where the process sent the reset
 * @param seesAll whether these are all namespaces of the node. If not, a listener of a namespace that has sent no reset is
 *   not the sender, even if no other one is known
 */
export function originOf(
  reset: Reset,
  namespaces: NodeNamespace[],
  processNamespace: string | undefined,
  seesAll = true,
): ResetOrigin {
  const owners = reset.active ? namespaces.filter(({ id }) => id === processNamespace) : [];
  if (owners.length > 0) return { candidates: owners, foundBy: 'process' };
  const { local } = reset;
  const holders = namespaces.filter(({ addresses }) => addresses.includes(local.address));
  if (holders.length > 0) return { candidates: withResets(holders), foundBy: 'address' };
  // Both ends of a loopback connection are in one namespace, and one of them is the listener's port.
  const ports = isLoopback(local.address) ? [local.port, reset.remote.port] : [];
  const listening = namespaces.filter(({ listeners }) =>
    listeners.some((one) => ports.includes(one.port) || (isOfListener(reset) && isSameSocket(one, local))),
  );
  const senders = seesAll ? withResets(listening) : listening.filter(mayHaveSent);
  if (senders.length === 0) return { candidates: [], foundBy: 'not found' };
  return { candidates: withInvalidPackets(senders), foundBy: 'listener' };
}

export function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.');
}

/** Whether a listening socket sent the reset. Kernels before 4.16 report no state: its address is then any address. */
export function isOfListener({ state, local }: Reset): boolean {
  return state === 'TCP_LISTEN' || (state === undefined && ANY.has(local.address));
}

/** Whether a namespace has sent a reset, or may have. */
export function mayHaveSent({ resetsGrew }: NodeNamespace): boolean {
  return resetsGrew === null || resetsGrew > 0;
}

/** Those that may have sent a reset, or all if there is none. */
function withResets(namespaces: NodeNamespace[]): NodeNamespace[] {
  const found = namespaces.filter(mayHaveSent);
  return found.length > 0 ? found : namespaces;
}

/** Those that may have had INVALID packets, or all if there is none. Only they can have sent a reset of this kind. */
function withInvalidPackets(namespaces: NodeNamespace[]): NodeNamespace[] {
  const found = namespaces.filter(({ invalidGrew }) => invalidGrew === null || invalidGrew > 0);
  return found.length > 0 ? found : namespaces;
}

function isSameSocket(listener: Endpoint, local: Endpoint): boolean {
  if (listener.port !== local.port) return false;
  return listener.address === local.address || (ANY.has(listener.address) && ANY.has(local.address));
}
