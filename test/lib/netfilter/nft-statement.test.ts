import t from 'tap';
import type { Json } from '../../../lib/netfilter/nft-expression.ts';
import type { Packet } from '../../../lib/netfilter/packet.ts';
import {
  ACCEPT,
  ct,
  DROP,
  INVALID,
  IPV4,
  IPV6,
  judgeNft,
  judgeRules,
  KNOWN,
  mangle,
  match,
  meta,
  payload,
  prerouting,
  table,
} from './ruleset-dumps.ts';

const DROP_INVALID = [INVALID, DROP];
const vmap = (key: Json, ...elements: Json[]): Json => ({ vmap: { key, data: { set: elements } } });
const reject = (type: string): Json => ({ reject: { type, expr: 'x' } });

/** What becomes of the packet where the statements stand before `ct state invalid drop`. */
const CASES: [name: string, statements: Json[], packet: Packet, verdict: string][] = [
  ['accept', [ACCEPT], IPV4, 'not dropped'],
  ['return', [{ return: null }], IPV4, 'not dropped'],
  ['continue', [{ continue: null }], IPV4, 'dropped'],
  ['counter accept', [{ counter: { packets: 0, bytes: 0 } }, ACCEPT], IPV4, 'not dropped'],
  [
    'a counter picked by a map',
    [{ counter: { map: { key: payload('tcp', 'dport'), data: '@m' } } }, ACCEPT],
    IPV4,
    'unknown',
  ],
  ['log accept', [{ log: { prefix: '-j DROP' } }, ACCEPT], IPV4, 'not dropped'],
  ['jump to a drop', [{ jump: { target: 'sub' } }], IPV4, 'dropped'],
  ['jump to a chain that is not listed', [{ jump: { target: 'none' } }], IPV4, 'unknown'],
  ['goto a chain that is not listed', [{ goto: { target: 'none' } }], IPV4, 'unknown'],
  ['limit accept', [{ limit: { rate: 1, per: 'second' } }, ACCEPT], IPV4, 'unknown'],
  ['limit drop', [{ limit: { rate: 1, per: 'second' } }, DROP], IPV4, 'dropped'],
  ['quota accept', [{ quota: { val: 1, val_unit: 'bytes' } }, ACCEPT], IPV4, 'unknown'],
  ['ct count accept', [{ 'ct count': { val: 1 } }, ACCEPT], IPV4, 'unknown'],
  ['add to a set, accept', [{ set: { op: 'add', elem: payload('ip', 'saddr'), set: '@s' } }, ACCEPT], IPV4, 'unknown'],
  ['queue', [{ queue: { num: 1 } }], IPV4, 'unknown'],
  ['fwd', [{ fwd: { dev: 'lo' } }], IPV4, 'unknown'],
  ['a statement without a name', [{}], IPV4, 'unknown'],
  ['notrack', [{ notrack: null }], IPV4, 'not dropped'],
  ['flow add accept', [{ flow: { op: 'add', flowtable: '@f' } }, ACCEPT], IPV4, 'dropped'],
  ['ct expectation accept', [{ 'ct expectation': 'e' }, ACCEPT], IPV4, 'dropped'],
  ['ct helper accept', [{ 'ct helper': 'h' }, ACCEPT], IPV4, 'not dropped'],
  ['reject with tcp reset, of a family that is not printed', [reject('tcp reset')], IPV4, 'unknown'],
  ['reject with icmpx', [reject('icmpx')], IPV4, 'dropped'],
  ['tproxy to :15006 accept', [{ tproxy: { port: 15006 } }, ACCEPT], IPV4, 'not dropped'],
  ['tproxy to :15006', [{ tproxy: { port: 15006 } }], IPV4, 'dropped'],
  ['tproxy ip to :15006 accept, for IPv6', [{ tproxy: { family: 'ip', port: 15006 } }, ACCEPT], IPV6, 'dropped'],
  ['meta mark set ct mark accept', [mangle(meta('mark'), ct('mark')), ACCEPT], IPV4, 'dropped'],
  ['ct mark set meta mark accept', [mangle(ct('mark'), meta('mark')), ACCEPT], IPV4, 'not dropped'],
  ['ct mark set ct mark | 1 accept', [mangle(ct('mark'), { '|': [ct('mark'), 1] }), ACCEPT], IPV4, 'dropped'],
  [
    'meta mark set by a map, accept',
    [mangle(meta('mark'), { map: { key: meta('iif'), data: '@m' } }), ACCEPT],
    IPV4,
    'unknown',
  ],
  ['meta mark set meta priority, accept', [mangle(meta('mark'), meta('priority')), ACCEPT], IPV4, 'unknown'],
  ['ip ttl set 9 accept', [mangle(payload('ip', 'ttl'), 9), ACCEPT], IPV4, 'not dropped'],
  ['ip ttl set 9 accept, for IPv6', [mangle(payload('ip', 'ttl'), 9), ACCEPT], IPV6, 'dropped'],
  ['ip6 dscp set cs1 accept, for IPv4', [mangle(payload('ip6', 'dscp'), 'cs1'), ACCEPT], IPV4, 'dropped'],
  ['tcp dport set 90 accept', [mangle(payload('tcp', 'dport'), 90), ACCEPT], IPV4, 'unknown'],
  ['tcp dport set 90', [mangle(payload('tcp', 'dport'), 90)], IPV4, 'dropped'],
  ['meta pkttype set other accept', [mangle(meta('pkttype'), 'other'), ACCEPT], IPV4, 'unknown'],
  ['meta priority set 1 accept', [mangle(meta('priority'), 1), ACCEPT], IPV4, 'not dropped'],
  [
    'tcp option maxseg size set 1000 accept',
    [mangle({ 'tcp option': { name: 'maxseg', field: 'size' } }, 1000), ACCEPT],
    IPV4,
    'unknown',
  ],
  ['ct zone set 1 after conntrack', [mangle(ct('zone'), 1)], IPV4, 'unknown'],
  ['ct state vmap { invalid : accept }', [vmap(ct('state'), ['invalid', ACCEPT])], IPV4, 'not dropped'],
  ['ct state vmap { established : accept }', [vmap(ct('state'), ['established', ACCEPT])], IPV4, 'dropped'],
  ['ct state vmap with * first', [vmap(ct('state'), ['*', ACCEPT], ['invalid', DROP])], IPV4, 'dropped'],
  ['ct state vmap with * alone', [vmap(ct('state'), ['*', ACCEPT])], IPV4, 'not dropped'],
  ['a vmap of a port that is not known', [vmap(payload('tcp', 'dport'), [80, ACCEPT])], IPV4, 'not dropped'],
  [
    'a vmap that continues, and no drop behind it',
    [vmap(meta('l4proto'), ['tcp', { continue: null }]), ACCEPT],
    IPV4,
    'not dropped',
  ],
  ['a vmap without the key ends its rule', [vmap(meta('l4proto'), ['udp', DROP]), ACCEPT], IPV4, 'dropped'],
  ['a vmap that jumps to a drop', [vmap(meta('l4proto'), ['tcp', { jump: { target: 'sub' } }])], IPV4, 'dropped'],
  ['a vmap of ip saddr, for IPv6', [vmap(payload('ip', 'saddr'), ['*', ACCEPT])], IPV6, 'dropped'],
  ['a vmap with a verdict not known', [vmap(meta('l4proto'), ['tcp', { queue: null }])], IPV4, 'unknown'],
  ['a vmap that is not listed', [{ vmap: { key: meta('l4proto'), data: '@none' } }], IPV4, 'unknown'],
  ['an xt match, accept', [{ xt: { type: 'match', name: 'conntrack' } }, ACCEPT], IPV4, 'unknown'],
  ['an xt match, drop', [{ xt: { type: 'match', name: 'conntrack' } }, DROP], IPV4, 'dropped'],
  ['an xt target', [{ xt: { type: 'target', name: 'TPROXY' } }], IPV4, 'unknown'],
  ['an xt target that sets a mark', [{ xt: { type: 'target', name: 'MARK' } }], IPV4, 'dropped'],
  ['an xt target that changes nothing', [{ xt: { type: 'target', name: 'TOS' } }], IPV4, 'dropped'],
  ['an xt match that always holds', [{ xt: { type: 'match', name: 'comment' } }, ACCEPT], IPV4, 'not dropped'],
  ['an xt without a name', [{ xt: null }], IPV4, 'unknown'],
];

for (const [name, statements, packet, verdict] of CASES) {
  t.test(`${name}: ${verdict}`, async (t) => {
    t.equal(judgeRules([statements, DROP_INVALID], packet).verdict, verdict);
  });
}

t.test('an xt match socket, whose options nft does not print, may set the mark', async (t) => {
  const rules = (name: string) => [[{ xt: { type: 'match', name } }], [match(meta('mark'), 0), DROP]];
  t.equal(judgeRules(rules('conntrack'), KNOWN).verdict, 'dropped');
  t.equal(judgeRules(rules('socket'), KNOWN).verdict, 'unknown');
});

t.test('a reject with an ICMP error of one family leaves the other alone', async (t) => {
  t.equal(judgeRules([[reject('icmp')]], IPV4).verdict, 'dropped');
  t.equal(judgeRules([[reject('icmp')]], IPV6).verdict, 'not dropped');
  t.equal(judgeRules([[reject('icmpv6')]], IPV4).verdict, 'not dropped');
});

t.test('of a reject with a TCP reset only a table of one family tells which it meets', async (t) => {
  const base = prerouting([[reject('tcp reset')], DROP_INVALID]);
  t.equal(judgeNft(table('ip', 't', [base]), IPV4).verdict, 'not dropped');
  t.equal(judgeNft(table('ip6', 't', [base]), IPV6).verdict, 'not dropped');
  t.match(judgeNft(table('inet', 't', [base]), IPV4), {
    verdict: 'unknown',
    reason: /nft does not print the address family/,
  });
});

t.test('a named verdict map is followed while packets do not change it', async (t) => {
  const rule = [{ vmap: { key: payload('tcp', 'dport'), data: '@decide' } }];
  const map = { family: 'inet', table: 't', name: 'decide', type: 'inet_service', map: 'verdict' };
  const elem: Json = [[9000, DROP]];
  t.equal(judgeRules([rule], KNOWN, [{ map: { ...map, elem } }]).verdict, 'dropped');
  t.equal(judgeRules([rule], KNOWN, [{ map }]).verdict, 'not dropped');
  t.equal(judgeRules([rule], KNOWN, [{ map: { ...map, elem, flags: ['timeout'] } }]).verdict, 'unknown');
});

const MARKS: [name: string, value: Json, mark: number][] = [
  ['5', 5, 5],
  ['meta mark | 4', { '|': [meta('mark'), 4] }, 0x14],
  ['meta mark & 0xf0', { '&': [meta('mark'), 0xf0] }, 0x10],
  ['meta mark & 0xf0 ^ 3', { '^': [{ '&': [meta('mark'), 0xf0] }, 3] }, 0x13],
  ['(meta mark | 4) & 0xf', { '&': [{ '|': [meta('mark'), 4] }, 0xf] }, 4],
];

for (const [name, value, mark] of MARKS) {
  t.test(`meta mark set ${name} makes 0x10 to 0x${mark.toString(16)}`, async (t) => {
    const rules = [[mangle(meta('mark'), value)], [match(meta('mark'), mark), DROP]];
    t.equal(judgeRules(rules, { ...KNOWN, mark: 0x10 }).verdict, 'dropped');
  });
}
