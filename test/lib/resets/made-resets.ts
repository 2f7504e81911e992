// Resets and namespaces for tests.
import type { NodeNamespace } from '../../../lib/resets/node-namespaces.ts';
import type { Reset } from '../../../lib/resets/trace-line.ts';

/** The bug as Linux 6.18 reports it, with a test's changes. */
export function reset(changes: Partial<Reset> = {}): Reset {
  return {
    ...{ pid: 7, command: 'swapper', active: false, state: 'TCP_LISTEN', reason: 'TCP_FLAGS' },
    ...{ local: { address: '::', port: 9000 }, remote: { address: '::', port: 0 } },
    ...changes,
  };
}

/** The reset for a segment that finds no socket. */
export function noSocket(address = '10.0.0.7', port = 9000): Reset {
  const { state: _, ...rest } = reset({ reason: 'NO_SOCKET' });
  return { ...rest, local: { address, port }, remote: { address: '10.0.0.1', port: 40_000 } };
}

/** A pod with a sidecar and an application on 9000, in which one packet was INVALID and one reset was sent. */
export function namespace(changes: Partial<NodeNamespace> = {}): NodeNamespace {
  return {
    ...{ id: 'net:[1]', label: 'storage/store-0 (10.0.0.7)', isNode: false, addresses: ['10.0.0.7'] },
    listeners: [
      { address: '::', port: 9000 },
      { address: '0.0.0.0', port: 15_006 },
    ],
    ...{ invalidGrew: 1, resetsGrew: 1 },
    ...changes,
  };
}
