// The kinds of stray segments, and what happens to the connection after each. Sources: tcp_in_window and
// nf_conntrack_tcp_packet in net/netfilter/nf_conntrack_proto_tcp.c of each series.
import { isAtLeast } from './kernel-requirements.ts';

/**
 * What became of a connection after one stray segment: its data came through, it was reset, or nothing came any more.
 */
export type ConnectionFate = 'fine' | 'reset' | 'stuck';

/** What conntrack calls the segment, and what becomes of the connection without the rule and with it. */
export type StrayFate = readonly [conntrack: 'INVALID' | 'valid', unguarded: ConnectionFate, guarded: ConnectionFate];

/** What a kind is made of. Numbers are relative to those that the segment should have. */
export interface StrayKind {
  name: string;
  change?: { sequence?: number; acknowledgement?: number; reset?: true; checksum?: 'wrong' };
  /** Settings of the pod's conntrack, nf_conntrack_tcp_*. */
  sysctls?: { be_liberal?: 1; loose?: 0 };
  /** conntrack forgets the connection first; with tcp_loose=1 it then takes it up by a segment that is in order. */
  forgotten?: true;
  /** What is expected; and on kernels before 6.1, where that differs. */
  fate: StrayFate;
  before61?: StrayFate;
}

/** Far out of any window. A quarter of the sequence space: half of it would count as before. */
const FAR = 2 ** 30;
/** A connection's first window: 64 KiB less a part of a segment. */
const WINDOW = 65_160;
const UNDER = -1_000_000;

/** Not redirected, and so answered by the application's listening socket. A dropped one is sent again, in order. */
const HARM: StrayFate = ['INVALID', 'reset', 'fine'];
/** A listening socket has no answer to a reset, and none to a wrong checksum. */
const NO_HARM: StrayFate = ['INVALID', 'fine', 'fine'];
/** Redirected to the sidecar's socket, which discards it. */
const VALID: StrayFate = ['valid', 'fine', 'fine'];

export const STRAY_KINDS: StrayKind[] = [
  { name: 'sequence number under the window', change: { sequence: UNDER }, fate: VALID, before61: HARM },
  { name: '500 bytes over the window', change: { sequence: WINDOW + 500 }, fate: VALID, before61: HARM },
  {
    name: 'half a window over it',
    change: { sequence: WINDOW + 30_000 },
    // conntrack tolerates it and counts its bytes as sent. The pod's acknowledgements then seem too old (MAXACKWINDOW,
    // 66000 bytes), conntrack no longer follows the pod's data, and each acknowledgement of that data is INVALID.
    fate: ['valid', 'reset', 'stuck'],
    before61: HARM,
  },
  { name: 'far over the window', change: { sequence: FAR }, fate: HARM },
  // The reset that answers it takes its number from there, and is out of the client's window itself.
  { name: 'acknowledges what was never sent', change: { acknowledgement: FAR }, fate: NO_HARM },
  { name: 'RST with an old sequence number', change: { sequence: UNDER, reset: true }, fate: NO_HARM },
  { name: 'wrong checksum', change: { checksum: 'wrong' }, fate: NO_HARM },
  {
    name: 'under the window, be_liberal=1',
    change: { sequence: UNDER },
    sysctls: { be_liberal: 1 },
    fate: VALID,
  },
  {
    name: 'half a window over it, be_liberal=1',
    change: { sequence: WINDOW + 30_000 },
    sysctls: { be_liberal: 1 },
    fate: VALID,
  },
  { name: 'far over the window, be_liberal=1', change: { sequence: FAR }, sysctls: { be_liberal: 1 }, fate: VALID },
  {
    name: 'RST with an old sequence number, be_liberal=1',
    change: { sequence: UNDER, reset: true },
    sysctls: { be_liberal: 1 },
    fate: NO_HARM,
  },
  { name: 'wrong checksum, be_liberal=1', change: { checksum: 'wrong' }, sysctls: { be_liberal: 1 }, fate: NO_HARM },
  {
    name: 'far over the window, in a connection that conntrack took up midway (tcp_loose=1)',
    change: { sequence: FAR },
    forgotten: true,
    fate: VALID,
  },
  {
    name: 'any segment of a connection that conntrack does not know (tcp_loose=0)',
    sysctls: { loose: 0 },
    forgotten: true,
    // conntrack takes every further segment for INVALID, so that all are dropped.
    fate: ['INVALID', 'reset', 'stuck'],
  },
];

/** What is expected of a kind. @param release of the kernel, as uname -r prints it */
export function fateOf({ fate, before61 }: StrayKind, release: string): StrayFate {
  return isAtLeast(6, 1, release) ? fate : (before61 ?? fate);
}
