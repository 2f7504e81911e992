// The cause of a reset: this bug or another one.
import { MESH_NAMES, meshOf } from '../mesh/meshes.ts';
import type { NodeNamespace } from './node-namespaces.ts';
import { isLoopback, isOfListener } from './reset-origin.ts';
import type { Endpoint, Reset } from './trace-line.ts';

/** Ports to which inbound connections are redirected: those of the inbound listeners of all meshes. */
const PROXY_PORTS: ReadonlySet<number> = new Set(MESH_NAMES.map((name) => meshOf(name).inboundPort));

/** Kinds of resets by cause. `bug`: the rule prevents it. */
export const KINDS = {
  'this-bug': {
    bug: true,
    text: 'THIS BUG: a data segment was INVALID and so was not redirected to its connection; the rule prevents this reset',
  },
  'cannot-tell': {
    bug: false,
    text: 'perhaps this bug: a segment without a connection; it is unknown whether it was INVALID',
  },
  'unknown-connection': {
    bug: false,
    text: 'a segment of a connection that no longer exists here, for instance after a restart',
  },
  'closed-port': { bug: false, text: 'no socket listens on that port' },
  'unread-data': { bug: false, text: 'the application closed the connection with data unread' },
  'data-after-close': { bug: false, text: 'the application had closed the connection, and the peer sent more data' },
  'time-wait': {
    bug: false,
    text: 'the application had closed the connection first, and the peer sent more (TIME_WAIT)',
  },
  aborted: { bug: false, text: 'the application aborted the connection (SO_LINGER 0, or a disconnect)' },
  'own-connection': {
    bug: false,
    text: 'the application closed or aborted the connection, or the peer was silent: this kernel does not report which',
  },
  keepalive: { bug: false, text: 'the peer did not answer keep-alives or retransmissions' },
  memory: { bug: false, text: 'the kernel was out of memory for sockets' },
  handshake: { bug: false, text: 'a segment that does not fit the handshake' },
  mptcp: { bug: false, text: 'a Multipath TCP error' },
  other: { bug: false, text: 'another cause' },
} as const;
export type ResetKind = keyof typeof KINDS;

/** Kinds by reason (include/net/rstreason.h), for the reasons that alone decide the kind. */
const BY_REASON: Record<string, ResetKind> = {
  TCP_ABORT_ON_CLOSE: 'unread-data',
  TCP_ABORT_ON_DATA: 'data-after-close',
  TCP_TIMEWAIT_SOCKET: 'time-wait',
  TCP_ABORT_ON_LINGER: 'aborted',
  TCP_STATE: 'aborted',
  TCP_DISCONNECT_WITH_DATA: 'aborted',
  TCP_KEEPALIVE_TIMEOUT: 'keepalive',
  TCP_ABORT_ON_MEMORY: 'memory',
  INVALID_SYN: 'handshake',
  TCP_INVALID_ACK_SEQUENCE: 'handshake',
  TCP_RFC7323_PAWS: 'handshake',
  TCP_TOO_OLD_ACK: 'handshake',
  TCP_ACK_UNSENT_DATA: 'handshake',
  TCP_OLD_ACK: 'handshake',
};

/** Reasons of a listening socket for a segment that opens no connection (tcp_rcv_state_process). */
const NO_CONNECTION_REASONS = new Set(['TCP_FLAGS', undefined]);

/**
 * Decides the kind of a reset.
 * @param candidates the namespaces that can have sent it
 */
export function resetKindOf(reset: Reset, candidates: NodeNamespace[]): ResetKind {
  const { state, reason, local } = reset;
  if (isOfListener(reset)) {
    return NO_CONNECTION_REASONS.has(reason)
      ? kindWithoutConnection(candidates, local, 'unknown-connection')
      : 'handshake';
  }
  if (reason === 'NO_SOCKET') return kindWithoutConnection(candidates, local, 'closed-port');
  if (reason?.startsWith('MPTCP')) return 'mptcp';
  if (reason !== undefined) return BY_REASON[reason] ?? 'other';
  // Kernels up to 6.9 report no reason. A reset from a connection's own socket is never this bug.
  if (state === 'TCP_TIME_WAIT') return 'time-wait';
  return state === undefined ? 'other' : 'own-connection';
}

/**
 * The kind for a segment that belongs to no connection. In a pod with a proxy, NAT redirects all connections from
 * outside to the proxy's port. NAT skips INVALID packets, so a segment that reached another port was INVALID, if any
 * packet was.
 * @param other the kind if it is not this bug
 */
function kindWithoutConnection(candidates: NodeNamespace[], local: Endpoint, other: ResetKind): ResetKind {
  // The proxy calls the application on loopback, where nothing is redirected.
  if (isLoopback(local.address)) return other;
  const proxied = candidates.filter(({ listeners }) => !PROXY_PORTS.has(local.port) && listeners.some(isProxy));
  if (proxied.some(({ invalidGrew }) => (invalidGrew ?? 0) > 0)) return 'this-bug';
  if (candidates.some(({ listenersUnknown }) => listenersUnknown)) return 'cannot-tell';
  if (candidates.length === 0 || proxied.some(({ invalidGrew }) => invalidGrew === null)) return 'cannot-tell';
  return other;
}

function isProxy({ port }: { port: number }): boolean {
  return PROXY_PORTS.has(port);
}
