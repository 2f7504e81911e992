// Random tables for iptables-restore: those that an arriving packet passes.
import type { Family } from '../../../lib/netfilter/packet.ts';
import type { Prng } from './prng.ts';

export type TableName = 'raw' | 'mangle' | 'nat' | 'filter' | 'security';

const BASE: Record<TableName, string[]> = {
  raw: ['PREROUTING'],
  mangle: ['PREROUTING', 'INPUT'],
  nat: ['PREROUTING'],
  filter: ['INPUT'],
  security: ['INPUT'],
};
const FREQUENCY: Record<TableName, number> = { raw: 0.3, mangle: 0.9, nat: 0.2, filter: 0.4, security: 0.1 };
/** A user chain may have the name of an extension, or of a hook that its table does not have. */
const USER_CHAINS = ['ONE', 'TWO', 'LOG'];

/**
 * Input for `iptables-restore`: a few tables with user chains, jumps, gotos, policies.
 * @param guard rules that mangle PREROUTING has as well, first or last
 */
export function randomIptables(random: Prng, family: Family, guard: string[] = []): string {
  const isMade = (table: TableName) => random.chance(FREQUENCY[table]) || (table === 'mangle' && guard.length > 0);
  const tables = (Object.keys(BASE) as TableName[]).filter(isMade);
  return tables.map((table) => randomTable(random, family, table, table === 'mangle' ? guard : [])).join('');
}

function randomTable(random: Prng, family: Family, table: TableName, guard: string[]): string {
  const users = table === 'raw' ? [...USER_CHAINS, 'INPUT'] : USER_CHAINS;
  const rules = (chain: string, jumps: string[], most: number) =>
    random.some(0, most, () => `-A ${chain} ${randomRule(random, family, table, jumps)}`);
  const guarding = guard.map((rule) => `-A PREROUTING ${rule}`);
  const isFirst = random.chance(0.7);
  return [
    `*${table}`,
    ...BASE[table].map((chain) => `:${chain} ${table !== 'nat' && random.chance(0.04) ? 'DROP' : 'ACCEPT'} [0:0]`),
    ...users.map((chain) => `:${chain} - [0:0]`),
    // Jumps only go to later chains: the kernel refuses loops.
    ...users.flatMap((chain, i) => rules(chain, users.slice(i + 1), 3)),
    ...(isFirst ? guarding : []),
    ...BASE[table].flatMap((chain) => rules(chain, users, 5)),
    ...(isFirst ? [] : guarding),
    'COMMIT',
    '',
  ].join('\n');
}

const NETWORKS = {
  ipv4: ['10.77.0.0/24', '10.77.0.1', '10.77.0.2', '127.0.0.0/8', '127.0.0.1', '192.0.2.0/24', '0.0.0.0/0'],
  ipv6: ['fd77::/64', 'fd77::1', 'fd77::2', '::1', '2001:db8::/32', '::/0'],
};
const INTERFACES = ['-i eth0', '-i lo', '-i eth+', '-i e+', '! -i lo', '! -i eth0', '! -i e+', '-i eth1'];
const MARKS = ['0x0', '0x1', '0x1/0x1', '0x2/0x3', '0x539', '0x0/0x4'];
const STATES = ['INVALID', 'INVALID', 'INVALID,UNTRACKED', 'RELATED,ESTABLISHED', 'NEW', 'UNTRACKED', 'NEW,INVALID'];
const FLAGS = ['FIN,SYN,RST,ACK SYN', 'SYN,ACK SYN,ACK', 'ALL SYN,ACK', 'RST NONE'];
// Few ranges: nft 1.0.6 prints those of iptables-nft so that they may be something else.
const TCP = ['--dport 9001', '--dport 9002', '--dport 9004', '--sport 40003', '--sport 80', '--dport 9002:9003'];
const MULTIPORT = ['--dports 22,9001,9003:9010', '--dports 9002,9004', '--sports 40001:40002,80'];
const COMMENTS = ['plain', 'says -j ACCEPT', 'a \\"quote\\" here', '-j', '-m', '!', 'back\\\\slash'];
/** Matches that the verdict does not know: few, for they make it unknown. */
const UNKNOWN = [
  '-m statistic --mode random --probability 0.5',
  '-m length --length 40:80',
  '-m pkttype --pkt-type host',
  '-m socket --transparent',
  '-m socket --nowildcard',
  '-m socket --restore-skmark',
];

/** A rule without `-A CHAIN`. */
export function randomRule(random: Prng, family: Family, table: TableName, chains: string[]): string {
  if (table !== 'nat' && random.chance(0.05)) return '-p tcp -m conntrack --ctstate INVALID -j DROP';
  const target = randomTarget(random, family, table, chains);
  // The kernel takes some targets only for what is sure to be TCP.
  const protocol = /tcp-reset|REDIRECT|TCPOPT/.test(target) ? '-p tcp' : randomProtocol(random);
  const own = [random.chance(0.4) ? random.pick(INTERFACES) : '', randomNetwork(random, family)];
  const matches = random.some(0, 2, () => randomMatch(random));
  return [protocol, ...own, ...matches, target].filter((part) => part !== '').join(' ');
}

/** Ports and flags are only allowed behind `-p tcp`. */
function randomProtocol(random: Prng): string {
  const not = () => (random.chance(0.25) ? '! ' : '');
  const tcp = `-p tcp -m tcp ${not()}${random.pick(TCP)}`;
  const flags = `${not()}--tcp-flags ${random.pick(FLAGS)}`;
  const multiport = `-p tcp -m multiport ${not()}${random.pick(MULTIPORT)}`;
  const plain = ['', '', '-p tcp', '-p tcp', '! -p udp', '-p udp', '! -p tcp', '-p udp -m udp --dport 9001'];
  return random.pick([...plain, tcp, tcp, `-p tcp -m tcp ${flags}`, `${tcp} ${flags}`, multiport]);
}

function randomNetwork(random: Prng, family: Family): string {
  if (random.chance(0.75)) return '';
  const network = random.pick(NETWORKS[family]);
  const not = !network.endsWith('/0') && random.chance(0.3) ? '! ' : '';
  return `${not}${random.pick(['-s', '-d'])} ${network}`;
}

function randomMatch(random: Prng): string {
  if (random.chance(0.01)) return random.pick(UNKNOWN);
  const not = random.chance(0.2) ? '! ' : '';
  return random.pick([
    `-m conntrack ${not}--ctstate ${random.pick(STATES)}`,
    `-m conntrack ${not}--ctstate ${random.pick(STATES)} --ctproto 6`,
    `-m conntrack ${not}--ctstatus NONE`,
    `-m mark ${not}--mark ${random.pick(MARKS)}`,
    `-m mark ${not}--mark ${random.pick(MARKS)}`,
    `-m comment --comment "${random.pick(COMMENTS)}"`,
    `-m connmark ${not}--mark 0x0`,
    `-m state ${not}--state ${random.pick(STATES)}`,
    '-m socket',
  ]);
}

const MARK_CHANGES = ['--set-xmark 0x1/0xffffffff', '--set-xmark 0x2/0x3', '--set-mark 0x539', '--set-mark 0x1/0x2'];
const MARK_SHORT = ['--or-mark 0x4', '--and-mark 0xfffffffe', '--xor-mark 0x3'];

function randomTarget(random: Prng, family: Family, table: TableName, chains: string[]): string {
  const targets = ['-j RETURN', '', '-j NFLOG --nflog-group 7', '-j ACCEPT', '-j ACCEPT'];
  if (chains.length > 0) targets.push(...['-j', '-j', '-g'].map((how) => `${how} ${random.pick(chains)}`));
  return random.pick([...targets, ...targetsOf(random, family)[table]]);
}

function targetsOf(random: Prng, family: Family): Record<TableName, string[]> {
  const mark = `-j MARK ${random.pick([...MARK_CHANGES, ...MARK_SHORT])}`;
  const hops = family === 'ipv4' ? '-j TTL --ttl-set 9' : '-j HL --hl-set 9';
  const passing = ['-j CONNMARK --restore-mark', '-j TOS --set-tos 8', '-j TCPOPTSTRIP --strip-options timestamp'];
  const icmp = family === 'ipv4' ? 'icmp-admin-prohibited' : 'icmp6-adm-prohibited';
  return {
    raw: ['-j CT --notrack', '-j NOTRACK', '-j CT --zone 1', '-j DROP'],
    mangle: [mark, mark, random.pick([hops, ...passing]), '-j DROP', '-j DROP'],
    nat: ['-j REDIRECT --to-ports 9999'],
    filter: ['-j REJECT', '-j REJECT --reject-with tcp-reset', `-j REJECT --reject-with ${icmp}`, '-j DROP'],
    security: ['-j DROP'],
  };
}
