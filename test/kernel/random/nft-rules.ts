// Random native nftables rules and tables, in nft's own language.
import type { Prng } from './prng.ts';

type TableFamily = 'ip' | 'ip6' | 'inet';

const PRIORITIES = [-310, -300, -250, -199, -160, -150, -149, -140, 0, 10, 50];

/** Text for `nft -f`: one or two tables. */
export function randomNft(random: Prng): string {
  const tables = random.some(1, 2, () => random.pick(['ip', 'ip6', 'inet', 'inet'] as const));
  const text = tables.map((family, i) => randomTable(random, family, `t${i}`)).join('');
  return random.chance(0.1) ? text + randomIngress(random) : text;
}

function randomTable(random: Prng, family: TableFamily, name: string): string {
  const hook = random.pick(['prerouting', 'prerouting', 'input'] as const);
  const reject = hook === 'input';
  const sub = random.some(0, 3, () => randomNftRule(random, family, { chains: [], reject }));
  const base = random.some(0, 4, () => randomNftRule(random, family, { chains: ['sub'], reject }));
  const policy = random.chance(0.03) ? 'drop' : 'accept';
  const lines = [
    ...(random.chance(0.05) ? ['flags dormant'] : []),
    'set ports { type inet_service; flags interval; elements = { 22, 9001-9002 } }',
    `chain sub {\n${sub.join('\n')}\n}`,
    `chain base {\ntype filter hook ${hook} priority ${random.pick(PRIORITIES)}; policy ${policy};\n${base.join('\n')}\n}`,
  ];
  return `table ${family} ${name} {\n${lines.join('\n')}\n}\n`;
}

function randomIngress(random: Prng): string {
  const rule = random.pick([
    'meta l4proto tcp drop',
    'tcp dport 9001 drop',
    'meta l4proto udp drop',
    'ct state invalid drop',
    'accept',
  ]);
  return `table netdev n {\nchain base {\ntype filter hook ingress device "${random.pick(['eth0', 'lo'])}" priority 0; policy accept;\n${rule}\n}\n}\n`;
}

/**
 * One rule. nft refuses a rule that names two transport protocols: it is about TCP, or about another one, or neither.
 * @param allowed chains to jump to, whether `reject` may stand here, and whether @ports is there
 */
export function randomNftRule(
  random: Prng,
  family: TableFamily,
  allowed: { chains: string[]; reject: boolean; sets?: boolean },
): string {
  if (random.chance(0.05)) return 'meta l4proto tcp ct state invalid counter drop';
  const tcp = random.chance(0.5);
  const transport = tcp
    ? random.some(0, 2, () => random.pick(tcpMatches(allowed.sets ?? true)))
    : [random.pick(OTHER_TRANSPORT)];
  const matches = random.some(0, 2, () => random.pick(otherMatches(family)));
  const verdict = random.pick(verdicts(allowed, tcp));
  return [...matches, ...transport, random.chance(0.3) ? 'counter' : '', verdict]
    .filter((part) => part !== '')
    .join(' ');
}

const OTHER_TRANSPORT = [
  '',
  '',
  '',
  '',
  'meta l4proto { tcp, udp }',
  'meta l4proto != udp',
  'meta l4proto udp',
  'udp dport 9001',
];

function tcpMatches(sets: boolean): string[] {
  return [
    'meta l4proto tcp',
    'tcp dport 9001',
    'tcp dport 9002-9003',
    'tcp dport != 9001',
    'tcp dport { 9001, 9004 }',
    'tcp sport > 40000',
    'tcp sport <= 40002',
    'tcp flags syn',
    'tcp flags & (syn | ack) == syn',
    'tcp flags & (syn | ack) == (syn | ack)',
    'tcp flags == syn',
    'tcp flags { syn, syn | ack }',
    'tcp flags != (syn | ack)',
    ...(sets ? ['tcp dport @ports', 'tcp dport != @ports'] : []),
  ];
}

function otherMatches(family: TableFamily): string[] {
  const ipv4 = [
    'ip saddr 10.77.0.0/24',
    'ip saddr != 10.77.0.1',
    'ip daddr { 10.77.0.2, 127.0.0.1 }',
    'ip daddr 10.77.0.1-10.77.0.9',
  ];
  const ipv6 = ['ip6 saddr fd77::/64', 'ip6 saddr != fd77::1', 'ip6 daddr { fd77::2, ::1 }'];
  const which = ['meta nfproto ipv4', 'meta nfproto ipv6', 'meta protocol ip', 'meta nfproto != ipv4'];
  return [
    'ct state invalid',
    'ct state invalid',
    'ct state != invalid',
    'ct state { invalid, untracked }',
    'ct state established,related',
    'ct state invalid,untracked',
    'ct mark 0',
    'ct mark != 5',
    'ct direction original',
    'meta mark 0',
    'meta mark 1',
    'meta mark & 0x3 == 0x2',
    'meta mark != 0x1',
    'meta mark { 0, 2 }',
    'iifname "eth0"',
    'iifname "eth*"',
    'iif lo',
    'iifname != "lo"',
    'iifname { "lo", "eth1" }',
    ...(family === 'inet' ? which : family === 'ip' ? ipv4 : ipv6),
  ];
}

function verdicts({ chains, reject }: { chains: string[]; reject: boolean }, tcp: boolean): string[] {
  return [
    'accept',
    'accept',
    'drop',
    'return',
    'continue',
    '',
    'meta mark set 0x1',
    'meta mark set meta mark | 0x2',
    'meta mark set meta mark and 0x1 xor 0x3',
    'ct mark set 0x1',
    'log group 7',
    'ct state vmap { invalid : drop, established : accept }',
    ...(tcp
      ? ['tcp dport vmap { 9001 : drop, 9002-9003 : accept }', 'meta l4proto vmap { tcp : accept, udp : drop }']
      : []),
    ...chains.flatMap((chain) => [`jump ${chain}`, `goto ${chain}`, `ct state vmap { invalid : jump ${chain} }`]),
    ...(reject ? ['reject', 'reject with tcp reset'] : ['notrack']),
  ];
}
