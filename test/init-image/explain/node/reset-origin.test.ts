import t from 'tap';
import { type Namespace, placeOf } from '../../../../init-image/explain/node/reset-origin.ts';
import type { Reset } from '../../../../init-image/explain/node/trace-line.ts';
import { namespace, noSocket, reset } from './made-resets.ts';

const [A, B] = [namespace({ id: 'a' }), namespace({ id: 'b', addresses: ['10.0.0.8'] })];
const told = (one: Reset, namespaces: Namespace[], owner?: string) => {
  const { candidates, how } = placeOf(one, namespaces, owner);
  return [how, ...candidates.map(({ id }) => id)];
};

t.test('a reset with an address is put down to the namespace that has it', async (t) => {
  t.same(told(noSocket('10.0.0.8'), [A, B]), ['address', 'b']);
  t.same(told(noSocket('10.9.9.9'), [A, B]), ['not found']);
});

t.test('a reset that a program sent is put down to the program, one that it did not send is not', async (t) => {
  const own = { ...noSocket('10.0.0.8'), active: true };
  t.same(told(own, [A, B], 'a'), ['process', 'a']);
  t.same(told(own, [A, B], 'gone'), ['address', 'b']);
  t.same(told({ ...own, active: false }, [A, B], 'a'), ['address', 'b']);
});

t.test('a reset of a listener is put down to who listens on the port, and several are all named', async (t) => {
  const elsewhere = namespace({ id: 'c', listeners: [{ address: '::', port: 80 }] });
  t.same(told(reset(), [A, elsewhere]), ['listener', 'a']);
  t.same(told(reset(), [A, B, elsewhere]), ['listener', 'a', 'b']);
  t.same(told(reset(), [elsewhere]), ['not found']);
});

t.test('of several, those that sent no reset, or had no INVALID packet, are left out', async (t) => {
  const [quiet, clean] = [namespace({ id: 'quiet', resetsGrew: 0 }), namespace({ id: 'clean', invalidGrew: 0 })];
  t.same(told(reset(), [quiet, clean, A]), ['listener', 'a']);
  t.same(told(reset(), [quiet, clean]), ['listener', 'clean']);
  t.same(told(reset(), [quiet]), ['listener', 'quiet'], 'the only one is kept, whatever it counted');
  t.same(told(noSocket(), [namespace({ id: 'quiet', resetsGrew: 0 }), A]), ['address', 'a']);
});

t.test('a listener on one address is no listener on all, but IPv4 and IPv6 any are alike', async (t) => {
  const at = (address: string) => namespace({ id: address, listeners: [{ address, port: 9000 }] });
  t.same(told(reset(), [at('127.0.0.1'), at('0.0.0.0')]), ['listener', '0.0.0.0']);
  const bound = reset({ local: { address: '10.1.1.1', port: 9000 } });
  t.same(told(bound, [at('10.1.1.1'), at('::')]), ['listener', '10.1.1.1']);
});

t.test('a reset on loopback is found by the port of either end', async (t) => {
  const { state: _, ...own } = reset({ reason: 'TCP_ABORT_ON_DATA' });
  const server = {
    ...own,
    local: { address: '127.0.0.1', port: 9000 },
    remote: { address: '127.0.0.1', port: 40_000 },
  };
  t.same(told(server, [A]), ['listener', 'a']);
  t.same(told({ ...server, local: server.remote, remote: server.local }, [A]), ['listener', 'a']);
});

t.test('a kernel that tells no state shows a listener by its open address', async (t) => {
  const { state: _, ...own } = reset();
  t.same(told(own, [A]), ['listener', 'a']);
});
