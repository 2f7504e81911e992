import t from 'tap';
import type { Json } from '../../../lib/netfilter/nft-expression.ts';
import type { Packet } from '../../../lib/netfilter/packet.ts';
import { ct, DROP, IPV4, IPV6, judgeRules, KNOWN, KNOWN6, match, meta, payload } from './ruleset-dumps.ts';

const state = ct('state');
const mark = meta('mark');
const flags = payload('tcp', 'flags');
const dport = payload('tcp', 'dport');
const set = (...elements: Json[]): Json => ({ set: elements });

/** Statements as nft 1.0.6 prints them, and whether they hold. */
const CASES: [name: string, statement: Json, packet: Packet, holds: boolean | 'maybe'][] = [
  ['ct state invalid', match(state, 'invalid', 'in'), IPV4, true],
  ['ct state invalid,untracked', match(state, ['invalid', 'untracked'], 'in'), IPV4, true],
  ['ct state established,related', match(state, ['established', 'related'], 'in'), IPV4, false],
  ['ct state & (invalid | new) == 0', match(state, ['invalid', 'new'], '!'), IPV4, false],
  ['ct state & (related | new) == 0', match(state, ['related', 'new'], '!'), IPV4, true],
  ['ct state { invalid, untracked }', match(state, set('invalid', 'untracked')), IPV4, true],
  ['ct state != { invalid, untracked }', match(state, set('invalid', 'untracked'), '!='), IPV4, false],
  ['ct state == invalid', match(state, 'invalid'), IPV4, true],
  ['ct state != invalid', match(state, 'invalid', '!='), IPV4, false],
  ['ct state == (invalid | new)', match(state, { '|': ['invalid', 'new'] }), IPV4, 'maybe'],
  ['ct state == [invalid, new]', match(state, ['invalid', 'new']), IPV4, 'maybe'],
  ['ct state of a name not known', match(state, 'unheard', 'in'), IPV4, 'maybe'],
  ['ct mark 0', match(ct('mark'), 0), IPV4, false],
  ['ct mark != 5', match(ct('mark'), 5, '!='), IPV4, false],
  ['ct status != snat', match(ct('status'), 'snat', '!='), IPV4, false],
  ['tcp flags syn', match(flags, 'syn', 'in'), KNOWN, true],
  ['tcp flags fin,rst', match(flags, ['fin', 'rst'], 'in'), KNOWN, false],
  ['tcp flags ! syn', match(flags, 'syn', '!'), KNOWN, false],
  ['tcp flags ! fin,rst', match(flags, ['fin', 'rst'], '!'), KNOWN, true],
  ['tcp flags == syn', match(flags, 'syn'), KNOWN, false],
  ['tcp flags == 0x12', match(flags, 18), KNOWN, true],
  ['tcp flags != 0x12', match(flags, 18, '!='), KNOWN, false],
  ['tcp flags == [syn, ack]', match(flags, ['syn', 'ack']), KNOWN, true],
  ['tcp flags { syn, syn | ack }', match(flags, set({ '|': ['syn', 'ack'] }, 'syn')), KNOWN, true],
  ['tcp flags { fin, syn | fin }', match(flags, set({ '|': ['syn', 'fin'] }, 'fin')), KNOWN, false],
  ['tcp flags syn,ack / syn,ack', match({ '&': [flags, ['syn', 'ack']] }, ['syn', 'ack']), KNOWN, true],
  [
    'tcp flags != syn,ack / fin,syn,ack',
    match({ '&': [flags, ['fin', 'syn', 'ack']] }, ['syn', 'ack'], '!='),
    KNOWN,
    false,
  ],
  ['tcp flags syn / syn,ack', match({ '&': [flags, { '|': ['syn', 'ack'] }] }, 'syn'), KNOWN, false],
  ['tcp flags of a name not known', match(flags, ['syn', 'accecn'], 'in'), KNOWN, 'maybe'],
  ['tcp flags syn, of a packet that is not known', match(flags, 'syn', 'in'), IPV4, false],
  ['meta mark 0', match(mark, 0), KNOWN, true],
  ['meta mark 0, of a mark that is not known', match(mark, 0), IPV4, 'maybe'],
  ['meta mark & 0xff == 5', match({ '&': [mark, 255] }, 5), { ...KNOWN, mark: 0x105 }, true],
  ['meta mark & 0xff != 5', match({ '&': [mark, 255] }, 5, '!='), { ...KNOWN, mark: 0x105 }, false],
  ['meta mark & mark == 0', match({ '&': [mark, mark] }, 0), KNOWN, 'maybe'],
  ['meta mark & 1 & 2 == 0', match({ '&': [{ '&': [mark, 1] }, 2] }, 0), { ...KNOWN, mark: 2 }, 'maybe'],
  ['meta mark | 1 == 1', match({ '|': [mark, 1] }, 1), KNOWN, 'maybe'],
  [
    'meta mark 1-5 (nft 1.0.6 may have merged two fields)',
    match(mark, { range: [1, 5] }),
    { ...KNOWN, mark: 5 },
    'maybe',
  ],
  ['meta mark 1-5 of a mark under it', match(mark, { range: [1, 5] }), { ...KNOWN, mark: 0 }, 'maybe'],
  ['meta mark 1-5 of a mark over it', match(mark, { range: [1, 5] }), { ...KNOWN, mark: 6 }, false],
  ['meta mark != 1-5', match(mark, { range: [1, 5] }, '!='), { ...KNOWN, mark: 5 }, false],
  ['meta mark { 1-5 }', match(mark, set({ range: [1, 5] })), { ...KNOWN, mark: 5 }, true],
  ['meta mark > 1', match(mark, 1, '>'), { ...KNOWN, mark: 1 }, false],
  ['meta mark >= 1', match(mark, 1, '>='), { ...KNOWN, mark: 1 }, true],
  ['meta mark < 1', match(mark, 1, '<'), KNOWN, true],
  ['meta mark <= 1', match(mark, 1, '<='), { ...KNOWN, mark: 2 }, false],
  ['meta l4proto tcp', match(meta('l4proto'), 'tcp'), IPV4, true],
  ['meta l4proto 6', match(meta('l4proto'), 6), IPV4, true],
  ['meta l4proto != tcp', match(meta('l4proto'), 'tcp', '!='), IPV4, false],
  ['meta l4proto { tcp, udp }', match(meta('l4proto'), set('tcp', 'udp')), IPV4, true],
  ['meta l4proto { sctp, udp }', match(meta('l4proto'), set('sctp', 'udp')), IPV4, false],
  ['meta nfproto ipv4', match(meta('nfproto'), 'ipv4'), IPV6, false],
  ['meta protocol ip6', match(meta('protocol'), 'ip6'), IPV6, true],
  ['meta protocol arp', match(meta('protocol'), 'arp'), IPV6, 'maybe'],
  ['iifname "eth*"', match(meta('iifname'), 'eth*'), IPV4, true],
  ['iifname "eth\\*"', match(meta('iifname'), 'eth\\*'), IPV4, false],
  ['iifname "eth\\*", on eth*', match(meta('iifname'), 'eth\\*'), { ...IPV4, iif: 'eth*' }, true],
  ['iifname { "eth*", "lo" }', match(meta('iifname'), set('eth*', 'lo')), IPV4, true],
  ['iifname != "lo"', match(meta('iifname'), 'lo', '!='), IPV4, true],
  ['iif "lo"', match(meta('iif'), 'lo'), IPV4, false],
  ['iif 7', match(meta('iif'), 7), IPV4, 'maybe'],
  ['oifname "eth0"', match(meta('oifname'), 'eth0'), IPV4, 'maybe'],
  ['ip saddr 10.77.0.0/16', match(payload('ip', 'saddr'), { prefix: { addr: '10.77.0.0', len: 16 } }), KNOWN, true],
  ['ip saddr != 10.77.0.1', match(payload('ip', 'saddr'), '10.77.0.1', '!='), KNOWN, false],
  ['ip saddr != 10.0.0.1, for IPv6', match(payload('ip', 'saddr'), '10.0.0.1', '!='), KNOWN6, false],
  ['ip6 saddr != fd00::1, for IPv4', match(payload('ip6', 'saddr'), 'fd00::1', '!='), KNOWN, false],
  ['ip6 daddr fd77::1-fd77::9', match(payload('ip6', 'daddr'), { range: ['fd77::1', 'fd77::9'] }), KNOWN6, 'maybe'],
  [
    'ip6 daddr { fd77::1-fd77::9 }',
    match(payload('ip6', 'daddr'), set({ range: ['fd77::1', 'fd77::9'] })),
    KNOWN6,
    true,
  ],
  [
    'ip daddr { 10.77.0.3-10.77.0.9 }',
    match(payload('ip', 'daddr'), set({ range: ['10.77.0.3', '10.77.0.9'] })),
    KNOWN,
    false,
  ],
  ['ip saddr { *, ... }', match(payload('ip', 'saddr'), set('192.0.2.1', '*')), KNOWN, 'maybe'],
  [
    'ip saddr & 255.0.255.255 == ...',
    match({ '&': [payload('ip', 'saddr'), '255.0.255.255'] }, '10.0.0.1'),
    KNOWN,
    'maybe',
  ],
  ['ip protocol tcp', match(payload('ip', 'protocol'), 'tcp'), IPV4, true],
  ['ip protocol tcp, for IPv6', match(payload('ip', 'protocol'), 'tcp'), IPV6, false],
  ['ip6 nexthdr tcp', match(payload('ip6', 'nexthdr'), 'tcp'), IPV6, 'maybe'],
  ['ip ttl 64, for IPv6', match(payload('ip', 'ttl'), 64), IPV6, false],
  ['tcp dport 9000', match(dport, 9000), KNOWN, true],
  ['tcp dport != 80-90', match(dport, { range: [80, 90] }, '!='), KNOWN, true],
  ['tcp dport { 80, 8000-9000 }', match(dport, set(80, { range: [8000, 9000] })), KNOWN, true],
  ['th dport 80', match(payload('th', 'dport'), 80), KNOWN, false],
  ['udp dport 9000', match(payload('udp', 'dport'), 9000), KNOWN, false],
  ['udp dport != 9000', match(payload('udp', 'dport'), 9000, '!='), KNOWN, false],
  ['@th,16,16 9000', match({ payload: { base: 'th', offset: 16, len: 16 } }, 9000), KNOWN, 'maybe'],
  ['iifname . tcp dport', match({ concat: [meta('iifname'), dport] }, set({ concat: ['lo', 80] })), KNOWN, 'maybe'],
  ['fib daddr type local', match({ fib: { result: 'type', flags: ['daddr'] } }, 'local'), KNOWN, 'maybe'],
  [
    'tcp dport with an element that has a comment',
    match(dport, set({ elem: { val: 9000, comment: 'x' } })),
    KNOWN,
    true,
  ],
  [
    'tcp dport with an element that has a limit',
    match(dport, set({ elem: { val: 9000, limit: { rate: 1 } } })),
    KNOWN,
    'maybe',
  ],
  ['tcp dport with an element that expires', match(dport, set({ elem: { val: 9000, expires: 5 } })), KNOWN, 'maybe'],
];

for (const [name, statement, packet, expected] of CASES) {
  const how = expected === true ? 'holds' : expected === false ? 'does not hold' : 'may hold';
  t.test(`${name}: ${how}`, async (t) => {
    const { verdict } = judgeRules([[statement, DROP]], packet);
    t.equal(verdict === 'unknown' ? 'maybe' : verdict === 'dropped', expected);
  });
}

const NAMED = { family: 'inet', table: 't', name: 'ports', type: 'inet_service' };
const FED: Json = { set: { op: 'add', elem: dport, set: '@ports' } };
const SETS: [name: string, set: Json, more: Json[][], verdict: string][] = [
  ['a named set', { set: { ...NAMED, elem: [22, 9000] } }, [], 'dropped'],
  ['a named set without the value', { set: { ...NAMED, elem: [22] } }, [], 'not dropped'],
  ['an empty named set', { set: NAMED }, [], 'not dropped'],
  ['a dynamic set', { set: { ...NAMED, flags: 'dynamic', elem: [9000] } }, [], 'unknown'],
  ['a set with timeout', { set: { ...NAMED, flags: ['timeout'], elem: [9000] } }, [], 'unknown'],
  ['a set that a rule puts packets into', { set: { ...NAMED, elem: [9000] } }, [[FED]], 'unknown'],
  ['a set that is not listed', { set: { ...NAMED, name: 'other' } }, [], 'unknown'],
];

for (const [name, named, more, verdict] of SETS) {
  t.test(`tcp dport in ${name}: ${verdict}`, async (t) => {
    t.equal(judgeRules([[match(dport, '@ports'), DROP], ...more], KNOWN, [named]).verdict, verdict);
  });
}
