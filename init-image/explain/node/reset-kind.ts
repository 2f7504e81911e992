// What a reset was for: this bug, or which other cause.
import { isLoopback, listens, type Namespace } from './reset-origin.ts';
import type { Endpoint, Reset } from './trace-line.ts';

/** Port on which a sidecar takes redirected connections (Istio's inbound listener). */
export const PROXY_PORT = 15_006;

/** Kinds of resets: `bug` says whether it is the one that the rule prevents. */
export const KINDS = {
  'this-bug': {
    bug: true,
    text: 'THIS BUG: a data segment that conntrack marked INVALID missed its connection; the rule prevents it',
  },
  'cannot-tell': {
    bug: false,
    text: 'perhaps this bug: a segment that met no connection, and whether it was INVALID cannot be seen from here',
  },
  'unknown-connection': {
    bug: false,
    text: 'a segment of a connection that nobody here holds, such as one of a program that was restarted; none was INVALID',
  },
  'closed-port': { bug: false, text: 'nobody listens on that port' },
  'unread-data': { bug: false, text: 'the application closed the connection with data unread' },
  'data-after-close': { bug: false, text: 'the application had closed the connection, and the peer sent more data' },
  'time-wait': { bug: false, text: 'the connection had been closed here first, and the peer sent more (TIME_WAIT)' },
  aborted: { bug: false, text: 'the application aborted the connection (SO_LINGER 0, or a disconnect)' },
  'own-connection': {
    bug: false,
    text: 'the application closed or aborted the connection, or the peer was silent: this kernel does not tell which',
  },
  keepalive: { bug: false, text: 'the peer did not answer keep-alives or retransmissions' },
  memory: { bug: false, text: 'the kernel was out of memory for sockets' },
  handshake: { bug: false, text: 'a segment that does not fit the handshake' },
  mptcp: { bug: false, text: 'a Multipath TCP error' },
  other: { bug: false, text: 'another cause' },
} as const;
export type Kind = keyof typeof KINDS;

/** By reason (include/net/rstreason.h); where it depends on the socket as well, classify decides. */
const BY_REASON: Record<string, Kind> = {
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

/** Of a listening socket: those with which the kernel answers a segment that opens no connection (tcp_rcv_state_process). */
const STRAY_AT_LISTENER = new Set(['TCP_FLAGS', undefined]);

/** @param candidates the namespaces that it can have been sent from */
export function classify(reset: Reset, candidates: Namespace[]): Kind {
  const { state, reason, local } = reset;
  if (listens(reset)) return STRAY_AT_LISTENER.has(reason) ? stray(candidates, local, true) : 'handshake';
  if (reason === 'NO_SOCKET') return stray(candidates, local, false);
  if (reason?.startsWith('MPTCP')) return 'mptcp';
  if (reason !== undefined) return BY_REASON[reason] ?? 'other';
  return state === 'TCP_TIME_WAIT' ? 'time-wait' : byStateAlone(state);
}

/** A kernel that tells no reason (up to 6.9): this bug never meets the connection's own socket. */
function byStateAlone(state: string | undefined): Kind {
  return state === undefined ? 'other' : 'own-connection';
}

/**
 * A segment that met no connection. Where a proxy is behind a redirect, none of the pod's connections is at the
 * application's port, so that only a packet that NAT passed by, an INVALID one, gets there. Without INVALID packets it
 * was something else.
 */
function stray(candidates: Namespace[], local: Endpoint, listening: boolean): Kind {
  const other = listening ? 'unknown-connection' : 'closed-port';
  // Where the proxy calls the application, nothing is redirected.
  if (isLoopback(local.address)) return other;
  const proxied = candidates.filter(({ listeners }) => local.port !== PROXY_PORT && listeners.some(isProxy));
  if (proxied.some(({ invalidGrew }) => (invalidGrew ?? 0) > 0)) return 'this-bug';
  if (candidates.length === 0 || proxied.some(({ invalidGrew }) => invalidGrew === null)) return 'cannot-tell';
  return other;
}

function isProxy({ port }: { port: number }): boolean {
  return port === PROXY_PORT;
}
