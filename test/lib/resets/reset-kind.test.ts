import t from 'tap';
import { KINDS, resetKindOf } from '../../../lib/resets/reset-kind.ts';
import type { Reset } from '../../../lib/resets/trace-line.ts';
import { namespace, noSocket, reset } from './made-resets.ts';

const POD = namespace();
const BARE = namespace({ listeners: [{ address: '::', port: 9000 }] });
const withoutReason = (changes: Partial<Reset>) => {
  const { reason: _, ...rest } = reset(changes);
  return rest;
};

t.test('a segment at a listening socket, in a pod with a proxy and INVALID packets, is this bug', async (t) => {
  t.equal(resetKindOf(reset(), [POD]), 'this-bug');
  t.equal(resetKindOf(withoutReason({}), [POD]), 'this-bug', 'also where the kernel reports no reason');
});

t.test('so is a segment that finds no socket there', async (t) => {
  t.equal(resetKindOf(noSocket(), [POD]), 'this-bug');
});

t.test('without one INVALID packet, or without a proxy, it is another cause', async (t) => {
  t.equal(resetKindOf(reset(), [namespace({ invalidGrew: 0 })]), 'unknown-connection');
  t.equal(resetKindOf(noSocket(), [namespace({ invalidGrew: 0 })]), 'closed-port');
  t.equal(resetKindOf(reset(), [BARE]), 'unknown-connection');
  t.equal(resetKindOf(noSocket(), [BARE]), 'closed-port');
});

t.test("the proxy's own port and loopback, where nothing is redirected, are other causes", async (t) => {
  t.equal(resetKindOf(reset({ local: { address: '::', port: 15_006 } }), [POD]), 'unknown-connection');
  t.equal(resetKindOf(noSocket('127.0.0.1'), [POD]), 'closed-port');
  t.equal(resetKindOf(noSocket('::1'), []), 'closed-port');
});

t.test('it is this bug with the proxy of any mesh', async (t) => {
  for (const port of [4143, 15_003, 20_000]) {
    const listeners = [9000, port].map((one) => ({ address: '::', port: one }));
    t.equal(resetKindOf(reset(), [namespace({ listeners })]), 'this-bug', `${port}`);
  }
});

t.test('of several pods one with INVALID packets is enough', async (t) => {
  t.equal(resetKindOf(reset(), [namespace({ invalidGrew: 0 }), POD]), 'this-bug');
});

t.test('an unknown pod or counter makes cannot-tell', async (t) => {
  t.equal(resetKindOf(reset(), []), 'cannot-tell');
  t.equal(resetKindOf(noSocket(), [namespace({ invalidGrew: null })]), 'cannot-tell');
});

t.test("each of the kernel's reasons has its kind", async (t) => {
  const kinds: Record<string, string> = {
    TCP_ABORT_ON_CLOSE: 'unread-data',
    TCP_ABORT_ON_DATA: 'data-after-close',
    TCP_TIMEWAIT_SOCKET: 'time-wait',
    TCP_STATE: 'aborted',
    TCP_DISCONNECT_WITH_DATA: 'aborted',
    TCP_KEEPALIVE_TIMEOUT: 'keepalive',
    TCP_ABORT_ON_MEMORY: 'memory',
    INVALID_SYN: 'handshake',
    MPTCP_RST_EMPTCP: 'mptcp',
    SOMETHING_NEW: 'other',
  };
  for (const [reason, kind] of Object.entries(kinds)) {
    t.equal(resetKindOf(reset({ state: 'TCP_CLOSE', reason }), [POD]), kind, reason);
  }
  t.equal(resetKindOf(reset({ reason: 'TCP_ACK_UNSENT_DATA' }), [POD]), 'handshake', 'at a listener');
});

t.test('without a reason the state decides', async (t) => {
  t.equal(resetKindOf(withoutReason({ state: 'TCP_TIME_WAIT' }), [POD]), 'time-wait');
  t.equal(resetKindOf(withoutReason({ state: 'TCP_CLOSE' }), [POD]), 'own-connection');
  const { state: _, ...nothing } = withoutReason({ local: { address: '10.0.0.7', port: 9000 } });
  t.equal(resetKindOf(nothing, [POD]), 'other');
});

t.test('exactly one kind is this bug', async (t) => {
  const bugs = Object.entries(KINDS).filter(([, { bug }]) => bug);
  t.same(
    bugs.map(([kind]) => kind),
    ['this-bug'],
  );
});
