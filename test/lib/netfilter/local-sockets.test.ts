import { once } from 'node:events';
import { createServer } from 'node:net';
import t from 'tap';
import { monotonicNow } from '../../../lib/clock.ts';
import { parseListeners, parsePortRange, readLocalSockets } from '../../../lib/netfilter/local-sockets.ts';

const HEAD = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';
const REST = '00000000:00000000 00:00000000 00000000     0        0 1603 1 00000000a7ffabec 100 0 0 10 0\n';

t.test('listeners on one address are found, those on all addresses and other sockets are not', async (t) => {
  const text = [
    HEAD,
    `   0: 00000000:2328 00000000:0000 0A ${REST}`,
    `   1: 0200000A:2329 00000000:0000 0A ${REST}`,
    `   2: 0100007F:3A98 00000000:0000 0A ${REST}`,
    `   3: 0200000A:2329 0100000A:9C40 01 ${REST}`,
  ].join('');
  t.same(parseListeners(text), [
    { address: '10.0.0.2', port: 9001 },
    { address: '127.0.0.1', port: 15_000 },
  ]);
});

t.test('IPv6 addresses are in their short form, and IPv4-mapped ones are IPv4', async (t) => {
  const line = (address: string) => `   0: ${address}:2328 ${'0'.repeat(32)}:0000 0A ${REST}`;
  t.same(parseListeners(line('0'.repeat(32))), []);
  t.same(parseListeners(line('0000000000000000FFFF000000000000')), [], 'all IPv4 addresses');
  t.same(parseListeners(line('0000000000000000FFFF00000200000A')), [{ address: '10.0.0.2', port: 9000 }]);
  t.same(parseListeners(line('000077FD000000000000000002000000')), [{ address: 'fd77::2', port: 9000 }]);
  t.same(parseListeners(line('00000000000000000000000001000000')), [{ address: '::1', port: 9000 }]);
});

t.test('this machine lists a listener that is there', async (t) => {
  for (const [host, family] of [
    ['127.0.0.1', 'ipv4'],
    ['::1', 'ipv6'],
  ] as const) {
    const server = createServer().listen(0, host);
    t.teardown(() => server.close());
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const found = readLocalSockets().listeners[family].filter((one) => one.port === port);
    t.same(found, [{ address: host, port }]);
  }
});

t.test('what was read stands while as many sockets are in use, for some minutes', async (t) => {
  const first = readLocalSockets();
  t.equal(readLocalSockets(first).listeners, first.listeners);
  const old = { ...first, seen: { at: monotonicNow() - 300_001, inUse: first.seen?.inUse ?? '' } };
  t.not(readLocalSockets(old).listeners, old.listeners);
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as { port: number };
  t.ok(readLocalSockets(first).listeners.ipv4.some((one) => one.port === port));
});

t.test('the range of ephemeral ports', async (t) => {
  t.same(parsePortRange('1024\t65535\n'), { from: 1024, to: 65_535 });
  t.same(parsePortRange(undefined), { from: 32_768, to: 60_999 });
  t.same(parsePortRange('x'), { from: 32_768, to: 60_999 });
});
