// The kinds of stray segments, and what happens to the connection after each. Sources: tcp_in_window and
// nf_conntrack_tcp_packet in net/netfilter/nf_conntrack_proto_tcp.c of each series.
import { isAtLeast } from './kernel-requirements.ts';

/**
 * What became of a connection after one stray segment: its data came through, it was reset, or nothing came any more.
 */
export type ConnectionFate = 'fine' | 'reset' | 'stuck';

/** What conntrack calls the segment, and what becomes of the connection in each of the STATES. */
export type StrayFate = readonly [
  conntrack: 'INVALID' | 'valid',
  without: ConnectionFate,
  ruleAlone: ConnectionFate,
  wholeCure: ConnectionFate,
];

/** What there is in the pod: nothing of ours, the rule that drops, all that install and checker do. */
export const STATES = ['without us', 'rule alone', 'whole cure'] as const;

/**
 * The connection is from the gateway to the pod, which redirects it, or the pod's own to the gateway. The stray segment
 * goes to the pod in either case.
 */
export const STRAY_ROUTES = ['redirected', 'outbound'] as const;
export type StrayRoute = (typeof STRAY_ROUTES)[number];
export type RouteFates = Readonly<Record<StrayRoute, StrayFate>>;

/** What a kind is made of. Numbers are relative to those that the segment should have. */
export interface StrayKind {
  name: string;
  change?: { sequence?: number; acknowledgement?: number; reset?: true; checksum?: 'wrong' };
  /** Settings of the pod's conntrack, nf_conntrack_tcp_*. */
  sysctls?: { be_liberal?: 1; loose?: 0 };
  /** conntrack forgets the connection first; with tcp_loose=1 it then takes it up by a segment that is in order. */
  forgotten?: true;
  /** What is expected; and on Debian's Linux 5.10, where that differs. */
  fates: RouteFates;
  before61?: RouteFates;
}

/** Far out of any window. A quarter of the sequence space: half of it would count as before. */
const FAR = 2 ** 30;
/** A connection's first window: 64 KiB less a part of a segment. That of the side that opened it is a little smaller. */
const WINDOW = 65_160;
const UNDER = -1_000_000;

/** A segment of a connection that the pod opened reaches its own socket in any case, and TCP copes with it. */
const OUTBOUND_INVALID: StrayFate = ['INVALID', 'fine', 'fine', 'fine'];
/** Not redirected, and so answered by the application's listening socket. A dropped one is sent again, in order. */
const HARM: RouteFates = { redirected: ['INVALID', 'reset', 'fine', 'fine'], outbound: OUTBOUND_INVALID };
/** A listening socket has no answer to a reset, and none to a wrong checksum. */
const NO_HARM: RouteFates = { redirected: ['INVALID', 'fine', 'fine', 'fine'], outbound: OUTBOUND_INVALID };
/** Redirected to the sidecar's socket, which discards it. */
const VALID: RouteFates = {
  redirected: ['valid', 'fine', 'fine', 'fine'],
  outbound: ['valid', 'fine', 'fine', 'fine'],
};

export const STRAY_KINDS: StrayKind[] = [
  { name: 'sequence number under the window', change: { sequence: UNDER }, fates: VALID, before61: HARM },
  { name: '500 bytes over the window', change: { sequence: WINDOW + 500 }, fates: VALID, before61: HARM },
  {
    name: 'half a window over it',
    change: { sequence: WINDOW + 30_000 },
    // conntrack tolerates it and counts its bytes as sent. The receiver's acknowledgements then seem too old
    // (MAXACKWINDOW, 66000 bytes), conntrack no longer follows the receiver's data, and each acknowledgement of that data
    // is INVALID: docs/upstream. Linux 5.15.68 and 6.0 count its bytes too, but call it INVALID; none of them is tested.
    fates: { redirected: ['valid', 'reset', 'stuck', 'fine'], outbound: ['valid', 'fine', 'stuck', 'fine'] },
    before61: HARM,
  },
  { name: 'far over the window', change: { sequence: FAR }, fates: HARM },
  // The reset that answers it takes its number from there, and is out of the client's window itself.
  { name: 'acknowledges what was never sent', change: { acknowledgement: FAR }, fates: NO_HARM },
  { name: 'RST with an old sequence number', change: { sequence: UNDER, reset: true }, fates: NO_HARM },
  { name: 'wrong checksum', change: { checksum: 'wrong' }, fates: NO_HARM },
  {
    name: 'under the window, be_liberal=1',
    change: { sequence: UNDER },
    sysctls: { be_liberal: 1 },
    fates: VALID,
  },
  {
    name: 'half a window over it, be_liberal=1',
    change: { sequence: WINDOW + 30_000 },
    sysctls: { be_liberal: 1 },
    fates: VALID,
  },
  { name: 'far over the window, be_liberal=1', change: { sequence: FAR }, sysctls: { be_liberal: 1 }, fates: VALID },
  {
    name: 'RST with an old sequence number, be_liberal=1',
    change: { sequence: UNDER, reset: true },
    sysctls: { be_liberal: 1 },
    fates: NO_HARM,
  },
  { name: 'wrong checksum, be_liberal=1', change: { checksum: 'wrong' }, sysctls: { be_liberal: 1 }, fates: NO_HARM },
  {
    name: 'far over the window, in a connection that conntrack took up midway (tcp_loose=1)',
    change: { sequence: FAR },
    forgotten: true,
    fates: VALID,
  },
  {
    name: 'any segment of a connection that conntrack does not know (tcp_loose=0)',
    sysctls: { loose: 0 },
    forgotten: true,
    // conntrack takes every further segment for INVALID. There is no entry that could be made liberal, and none that NAT
    // could redirect by; those of a connection that the pod opened are let pass to its socket.
    fates: { redirected: ['INVALID', 'reset', 'stuck', 'stuck'], outbound: ['INVALID', 'fine', 'stuck', 'fine'] },
  },
];

/** What is expected of a kind. @param release of the kernel, as uname -r prints it */
export function fatesOf({ fates, before61 }: StrayKind, release: string): RouteFates {
  return isAtLeast(6, 1, release) ? fates : (before61 ?? fates);
}
