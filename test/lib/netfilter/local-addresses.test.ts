import t from 'tap';
import { addressText, localAddresses, parseFibTrie, parseIfInet6 } from '../../../lib/netfilter/local-addresses.ts';

t.test('own IPv4 addresses are those of host scope, each once, without loopback', async (t) => {
  const trie = `Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 10.77.0.0/24 2 0 2
        |-- 10.77.0.0
           /24 link UNICAST
        |-- 10.77.0.2
           /32 host LOCAL
        |-- 10.77.0.255
           /32 link BROADCAST
     |-- 127.0.0.1
        /32 host LOCAL
Local:
        |-- 10.77.0.2
           /32 host LOCAL
`;
  t.same(parseFibTrie(trie), ['10.77.0.2']);
});

t.test('own IPv6 addresses are written as the kernel writes them, without loopback and link-local', async (t) => {
  const text = `00000000000000000000000000000001 01 80 10 80       lo
fd770000000000000000000000000002 02 40 00 80     eth0
fe800000000000000077fffe00000002 02 40 20 80     eth0
`;
  t.same(parseIfInet6(text), ['fd77::2']);
  t.same(parseIfInet6(''), []);
});

t.test('all addresses, with loopback and link-local', async (t) => {
  const trie = '     |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 10.0.0.2\n        /32 host LOCAL\n';
  const listed = 'fe800000000000000077fffe00000002 02 40 20 80     eth0\n';
  t.same(localAddresses(trie, listed), { ipv4: ['127.0.0.1', '10.0.0.2'], ipv6: ['fe80::77:fffe:0:2'] });
});

t.test('an address as text, IPv4-mapped ones in the form of IPv4', async (t) => {
  t.equal(addressText(Uint8Array.of(10, 0, 0, 2)), '10.0.0.2');
  t.equal(addressText(Buffer.from('00000000000000000000ffff0a000002', 'hex')), '10.0.0.2');
  t.equal(addressText(Buffer.from('fd770000000000000000000000000002', 'hex')), 'fd77::2');
});
