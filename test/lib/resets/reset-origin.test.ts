import t from 'tap';
import type { NodeNamespace } from '../../../lib/resets/node-namespaces.ts';
import { originOf } from '../../../lib/resets/reset-origin.ts';
import type { Reset } from '../../../lib/resets/trace-line.ts';
import { namespace, noSocket, reset } from './made-resets.ts';

const [A, B] = [namespace({ id: 'a' }), namespace({ id: 'b', addresses: ['10.0.0.8'] })];
const origin = (one: Reset, namespaces: NodeNamespace[], owner?: string) => {
  const { candidates, foundBy } = originOf(one, namespaces, owner);
  return [foundBy, ...candidates.map(({ id }) => id)];
};

t.test('a reset with an address is attributed to the namespace that has it', async (t) => {
  t.same(origin(noSocket('10.0.0.8'), [A, B]), ['address', 'b']);
  t.same(origin(noSocket('10.9.9.9'), [A, B]), ['not found']);
});

t.test('a reset is attributed to a process only if the process sent it', async (t) => {
  const own = { ...noSocket('10.0.0.8'), active: true };
  t.same(origin(own, [A, B], 'a'), ['process', 'a']);
  t.same(origin(own, [A, B], 'gone'), ['address', 'b']);
  t.same(origin({ ...own, active: false }, [A, B], 'a'), ['address', 'b']);
});

t.test('a reset of a listener is attributed to all namespaces that listen on the port', async (t) => {
  const elsewhere = namespace({ id: 'c', listeners: [{ address: '::', port: 80 }] });
  t.same(origin(reset(), [A, elsewhere]), ['listener', 'a']);
  t.same(origin(reset(), [A, B, elsewhere]), ['listener', 'a', 'b']);
  t.same(origin(reset(), [elsewhere]), ['not found']);
});

t.test('of several, those that sent no reset, or had no INVALID packet, are left out', async (t) => {
  const [quiet, clean] = [namespace({ id: 'quiet', resetsGrew: 0 }), namespace({ id: 'clean', invalidGrew: 0 })];
  t.same(origin(reset(), [quiet, clean, A]), ['listener', 'a']);
  t.same(origin(reset(), [quiet, clean]), ['listener', 'clean']);
  t.same(origin(reset(), [quiet]), ['listener', 'quiet'], 'the only one is kept, whatever it counted');
  t.same(origin(noSocket(), [namespace({ id: 'quiet', resetsGrew: 0 }), A]), ['address', 'a']);
});

t.test('a listener on one address is not one on all; any address is the same in IPv4 and IPv6', async (t) => {
  const at = (address: string) => namespace({ id: address, listeners: [{ address, port: 9000 }] });
  t.same(origin(reset(), [at('127.0.0.1'), at('0.0.0.0')]), ['listener', '0.0.0.0']);
  const bound = reset({ local: { address: '10.1.1.1', port: 9000 } });
  t.same(origin(bound, [at('10.1.1.1'), at('::')]), ['listener', '10.1.1.1']);
});

t.test('a reset on loopback is found by the port of either end', async (t) => {
  const { state: _, ...own } = reset({ reason: 'TCP_ABORT_ON_DATA' });
  const server = {
    ...own,
    local: { address: '127.0.0.1', port: 9000 },
    remote: { address: '127.0.0.1', port: 40_000 },
  };
  t.same(origin(server, [A]), ['listener', 'a']);
  t.same(origin({ ...server, local: server.remote, remote: server.local }, [A]), ['listener', 'a']);
});

t.test('without a state, any address means a listener', async (t) => {
  const { state: _, ...own } = reset();
  t.same(origin(own, [A]), ['listener', 'a']);
});
