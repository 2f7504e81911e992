// Random native nftables tables, in nft's own language.

import { isAtLeast } from '../netns/kernel-requirements.ts';
import type { Prng } from './prng.ts';

const PRIORITIES = [-310, -300, -300, -250, -199, -190, -160, -150, -150, -149, 0, 0, 10, 50];
const FAMILIES = ['ip', 'ip6', 'inet', 'inet'] as const;
const SETS = [
  'set ports { type inet_service; flags interval; elements = { 22, 9001-9002 } }',
  'set fed { type inet_service; size 100; flags dynamic; }',
  'map decide { type inet_service : verdict; elements = { 9001 : drop, 9003 : accept } }',
];

/** Text for `nft -f`: one or two tables. */
export function randomNft(random: Prng): string {
  const families = random.some(1, 2, () => random.pick(random.chance(0.1) ? (['netdev'] as const) : FAMILIES));
  return families.map((family, i) => randomTable(random, family, `t${i}`)).join('');
}

function randomTable(random: Prng, family: NftFamily, name: string): string {
  const names = random.chance(0.3) ? ['base', 'other'] : ['base'];
  const chains = names.map((chain) => randomBaseChain(random, family, chain));
  const hooks = [...new Set(chains.map(({ hook }) => hook))];
  const place = { family, hook: hooks.length === 1 ? hooks[0] : undefined, sets: true };
  const sub = random.some(0, 3, () => randomNftRule(random, { ...place, chains: [] }));
  return [
    `table ${family} ${name} {`,
    ...(random.chance(0.06) ? ['flags dormant'] : []),
    ...SETS,
    `chain sub {\n${sub.join('\n')}\n}`,
    ...chains.map(({ text }) => text),
    '}',
    '',
  ].join('\n');
}

function randomBaseChain(
  random: Prng,
  family: NftFamily,
  name: string,
): { hook: NonNullable<NftRulePlace['hook']>; text: string } {
  const hook = family === 'netdev' ? 'ingress' : random.pick(hooksOf(family));
  const device = hook === 'ingress' ? ` device ${random.pick(['eth0', 'lo'])}` : '';
  const priority = random.pick(PRIORITIES);
  const rules = random.some(0, 4, () => randomNftRule(random, { family, hook, chains: ['sub'], sets: true }));
  const policy = random.chance(0.03) ? 'drop' : 'accept';
  const type = `type filter hook ${hook}${device} priority ${priority}; policy ${policy};`;
  // A chain of type nat never sees the packet.
  const nat = `type nat hook prerouting priority -100; policy ${policy};`;
  const isNat = hook === 'prerouting' && random.chance(0.1);
  return { hook, text: `chain ${name} {\n${isNat ? nat : type}\n${(isNat ? ['accept'] : rules).join('\n')}\n}` };
}

function hooksOf(family: NftFamily) {
  const usual = ['prerouting', 'prerouting', 'input'] as const;
  const hooks = [...usual, ...usual, ...usual];
  return family === 'inet' ? [...hooks, 'ingress' as const] : hooks;
}

export type NftFamily = 'ip' | 'ip6' | 'inet' | 'netdev';

/** Where a rule stands, and so what nft and the kernel accept in it. */
export interface NftRulePlace {
  family: NftFamily;
  /** Undefined for a chain that more than one hook reaches. */
  hook: 'ingress' | 'prerouting' | 'input' | undefined;
  /** Chains that it may jump to. */
  chains: string[];
  /** Whether the table has the sets @ports and @fed and the map @decide. */
  sets: boolean;
}

/**
 * One rule. nft refuses a rule that names two transport protocols or two address families, also where it adds one of
 * them itself: so a rule is about TCP, or about another one, or neither, and names one family at most.
 */
export function randomNftRule(random: Prng, place: NftRulePlace): string {
  if (place.family !== 'netdev' && random.chance(0.05)) return 'meta l4proto tcp ct state invalid counter drop';
  const tcp = random.chance(0.5);
  const transport = tcp ? random.some(0, 2, () => random.pick(tcpMatches(place))) : [random.pick(OTHER_TRANSPORT)];
  const matches = random.some(0, 2, () => random.pick(otherMatches(place)));
  const socket = seesSockets(place) && random.chance(0.12) ? random.pick(SOCKET) : '';
  const family = random.chance(0.3) ? random.pick(familyParts(place)) : '';
  const middle = random.chance(0.2) ? random.pick(statements(place, tcp)) : '';
  const verdict = random.pick(verdicts(place, tcp, family !== ''));
  return (
    [...matches, ...transport, socket, family, middle, verdict].filter((part) => part !== '').join(' ') || 'counter'
  );
}

/** Whether maps may have an element for all that is in no other: since Linux 5.13 (aaa31047a6d2). */
const CATCHES_ALL = isAtLeast(5, 13);
/** The element, where the kernel has it: the rest of a random ruleset is the same on all kernels. */
const catchAll = (verdict: string) => (CATCHES_ALL ? `, * : ${verdict}` : '');

/**
 * After conntrack it gives an INVALID packet a template for a connection, which Linux 5.10 takes for one that is to be
 * confirmed, and panics: "kernel BUG at net/netfilter/nf_conntrack_core.c:533" (seed 5244). Not seen on 6.1.
 */
const ZONE = isAtLeast(6, 1) ? 'ct zone set 1' : 'counter';

const OTHER_TRANSPORT = [
  ...['', '', '', '', 'meta l4proto { tcp, udp }', 'meta l4proto != udp', 'meta l4proto udp', 'udp dport 9001'],
];

function tcpMatches({ sets }: NftRulePlace): string[] {
  const ports = ['tcp dport 9001', 'tcp dport 9002-9003', 'tcp dport != 9001', 'tcp dport { 9001, 9004 }'];
  const more = ['tcp sport > 40000', 'tcp sport <= 41002', 'th dport 9002', 'meta l4proto tcp', 'tcp dport >= 9003'];
  const flags = [
    ...['tcp flags syn', 'tcp flags syn,fin', 'tcp flags ! rst', 'tcp flags == syn', 'tcp flags != (syn | ack)'],
    ...['tcp flags & (syn | ack) == syn', 'tcp flags & (syn | ack) == (syn | ack)', 'tcp flags { syn, syn | ack }'],
    ...['tcp flags & (fin | rst) != fin', 'tcp flags & (fin | syn) != (fin | syn)', 'tcp flags & rst == 0'],
  ];
  return [...ports, ...more, ...flags, ...(sets ? ['tcp dport @ports', 'tcp dport != @ports'] : [])];
}

/** The kernel looks sockets up at these hooks only (nft_socket_validate, net/netfilter/nft_socket.c). */
function seesSockets({ family, hook }: NftRulePlace): boolean {
  return family !== 'netdev' && (hook === 'prerouting' || hook === 'input');
}

/** All but the first are unknown to the verdict. */
const SOCKET = [
  ...Array.from({ length: 12 }, () => 'socket wildcard 0'),
  ...['socket wildcard 1', 'socket transparent 1', 'socket transparent 0'],
];

const CONNTRACK = [
  ...['ct state invalid', 'ct state invalid', 'ct state != invalid', 'ct state { invalid, untracked }'],
  ...[
    'ct state untracked',
    'ct state established,related',
    'ct state invalid,untracked',
    'ct state & (invalid | new) == 0',
  ],
  ...['ct mark 0', 'ct mark != 5', 'ct direction original', 'ct status != snat'],
];
const IPV4 = [
  'ip saddr 10.77.0.0/24',
  'ip saddr != 10.77.0.1',
  'ip daddr { 10.77.0.2, 127.0.0.1 }',
  'ip daddr { 10.77.0.1-10.77.0.9 }',
];
const IPV6 = [
  'ip6 saddr fd77::/64',
  'ip6 saddr != fd77::1',
  'ip6 daddr { fd77::2, ::1 }',
  'ip6 daddr { fd77::1-fd77::9 }',
];
const MARKS = [
  'meta mark 0',
  'meta mark 1',
  'meta mark & 0x3 == 0x2',
  'meta mark != 0x1',
  'meta mark { 0, 2 }',
  'meta mark > 1',
];
const INTERFACES = ['iifname "eth0"', 'iifname "eth*"', 'iif lo', 'iifname != "lo"', 'iifname { "lo", "e*" }'];

/** Matches and statements about one address family: nft adds hidden dependencies where the table does not tell it. */
function familyParts({ family }: NftRulePlace): string[] {
  const ipv4 = [...IPV4, 'ip ttl set 9', 'ip dscp set cs1', 'ip protocol tcp'];
  const ipv6 = [...IPV6, 'ip6 hoplimit set 9'];
  if (family === 'ip') return ipv4;
  if (family === 'ip6') return ipv6;
  const which = family === 'inet' ? ['meta nfproto ipv4', 'meta nfproto != ipv4'] : ['meta protocol ip6'];
  return [...ipv4, ...ipv6, ...which, 'meta protocol ip'];
}

function otherMatches({ family }: NftRulePlace): string[] {
  return [...(family === 'netdev' ? [] : CONNTRACK), ...MARKS, ...INTERFACES];
}

/** Statements in the middle of a rule: some end it for some packets, though no match says so. */
function statements({ family, hook, sets }: NftRulePlace, tcp: boolean): string[] {
  const tracked = ['meta mark set ct mark', 'ct mark set 0x1', 'ct mark set ct mark or 0x1', 'log group 7'];
  return [
    ...['counter', 'meta mark set 0x1', 'meta mark set meta mark | 0x2', 'limit rate 1000000/second'],
    ...(family === 'netdev' ? [] : tracked),
    ...(hook === 'prerouting' ? [ZONE] : []),
    ...(sets && tcp ? ['add @fed { tcp dport }'] : []),
  ];
}

function verdicts({ family, hook, chains, sets }: NftRulePlace, tcp: boolean, hasFamily: boolean): string[] {
  const simple = ['accept', 'accept', 'accept', 'drop', 'drop', 'return', 'continue', ''];
  const marks = ['meta mark set 0x1', 'meta mark set meta mark | 0x2', 'meta mark set meta mark and 0x1 xor 0x3'];
  const ports = [
    'tcp dport vmap { 9001 : drop, 9002-9003 : accept }',
    `tcp dport vmap { 9001 : continue${catchAll('drop')} }`,
  ];
  const maps = [
    'meta l4proto vmap { tcp : accept, udp : drop }',
    ...(sets ? ['tcp dport vmap @decide'] : []),
    ...ports,
  ];
  const state = [
    'ct state vmap { invalid : drop, established : accept }',
    `ct state vmap { new : drop${catchAll('accept')} }`,
  ];
  const jumps = chains.flatMap((chain) => [`jump ${chain}`, `goto ${chain}`, `meta mark vmap { 0 : jump ${chain} }`]);
  const reset = tcp ? ['reject with tcp reset'] : [];
  const rejects = ['reject', ...reset, ...(family === 'inet' ? ['reject with icmpx no-route'] : [])];
  const typed = {
    inet: ['reject with icmp host-unreachable', 'reject with icmpv6 no-route'],
    ip: [],
    ip6: [],
    netdev: [],
  };
  return [
    ...[...simple, ...marks, ...jumps],
    ...(tcp ? maps : []),
    ...(family === 'netdev' ? [] : state),
    ...(hook === 'input' ? [...rejects, ...(hasFamily ? [] : typed[family])] : []),
    ...(hook === 'prerouting' ? ['notrack', 'notrack', 'counter notrack', ...reset] : []),
  ];
}
