// Random rules for iptables-restore, in the tables that an arriving packet passes.
import type { Family } from '../../../init-image/ruleset/model.ts';
import type { Prng } from './prng.ts';

type TableName = 'raw' | 'mangle' | 'filter';

const BASE: Record<TableName, string[]> = { raw: ['PREROUTING'], mangle: ['PREROUTING', 'INPUT'], filter: ['INPUT'] };
const USER_CHAINS = ['ONE', 'TWO', 'THREE'];
const MARKS = ['0x0', '0x1', '0x1/0x1', '0x2/0x3', '0x539'];
const NETWORKS = {
  ipv4: ['10.77.0.0/24', '10.77.0.1', '10.77.0.2', '127.0.0.0/8', '127.0.0.1', '192.0.2.0/24', '0.0.0.0/0'],
  ipv6: ['fd77::/64', 'fd77::1', 'fd77::2', '::1', '2001:db8::/32', '::/0'],
};

/** Input for `iptables-restore`: a few tables with user chains, jumps, gotos, policies. */
export function randomIptables(random: Prng, family: Family): string {
  const tables: TableName[] = ['mangle'];
  if (random.chance(0.3)) tables.push('raw');
  if (random.chance(0.4)) tables.push('filter');
  return tables.map((table) => randomTable(random, family, table)).join('');
}

function randomTable(random: Prng, family: Family, table: TableName): string {
  const lines = [`*${table}`];
  for (const chain of BASE[table]) lines.push(`:${chain} ${random.chance(0.03) ? 'DROP' : 'ACCEPT'} [0:0]`);
  for (const chain of USER_CHAINS) lines.push(`:${chain} - [0:0]`);
  USER_CHAINS.forEach((chain, i) => {
    // Jumps only go to later chains: the kernel refuses loops.
    for (const rule of random.some(0, 3, () => randomRule(random, family, table, USER_CHAINS.slice(i + 1)))) {
      lines.push(`-A ${chain} ${rule}`);
    }
  });
  for (const chain of BASE[table]) {
    for (const rule of random.some(0, 5, () => randomRule(random, family, table, USER_CHAINS))) {
      lines.push(`-A ${chain} ${rule}`);
    }
  }
  return [...lines, 'COMMIT', ''].join('\n');
}

function randomRule(random: Prng, family: Family, table: TableName, chains: string[]): string {
  if (random.chance(0.05)) return '-p tcp -m conntrack --ctstate INVALID -j DROP';
  const target = randomTarget(random, table, chains);
  // The kernel takes a TCP reset as an answer only for what is sure to be TCP.
  const protocol = target.includes('tcp-reset') ? '-p tcp' : randomProtocol(random);
  const matches = random.some(0, 2, () => randomMatch(random));
  const parts = [protocol, randomInterface(random), randomNetwork(random, family), ...matches, target];
  return parts.filter((part) => part !== '').join(' ');
}

/** Ports and flags are only allowed behind `-p tcp`. */
function randomProtocol(random: Prng): string {
  const tcp = ['--dport 9001', '--dport 9002:9003', '! --dport 9001:9002', '--sport 40000:50000', '--sport 80'];
  const flags = [
    '--tcp-flags FIN,SYN,RST,ACK SYN',
    '--tcp-flags SYN,ACK SYN,ACK',
    '! --tcp-flags ALL SYN,ACK',
    '--syn',
  ];
  return random.pick([
    '',
    '',
    '-p tcp',
    '-p tcp',
    '! -p udp',
    '-p udp',
    '! -p tcp',
    '-p udp --dport 9001',
    `-p tcp -m tcp ${random.pick(tcp)}`,
    `-p tcp -m tcp ${random.pick(flags)}`,
    `-p tcp -m tcp ${random.pick(tcp)} ${random.pick(flags)}`,
    '-p tcp -m multiport --dports 22,9001,9003:9010',
    '-p tcp -m multiport ! --dports 9002,9004',
  ]);
}

function randomInterface(random: Prng): string {
  return random.pick(['', '', '', '', '-i eth0', '-i lo', '-i eth+', '-i e+', '! -i lo', '! -i eth0', '-i eth1']);
}

function randomNetwork(random: Prng, family: Family): string {
  if (random.chance(0.75)) return '';
  return `${random.pick(['', '! '])}${random.pick(['-s', '-d'])} ${random.pick(NETWORKS[family])}`.replace(
    /^! (-\w) (\S+\/0)$/,
    '$1 $2',
  );
}

function randomMatch(random: Prng): string {
  if (random.chance(0.01)) return '-m statistic --mode random --probability 0.5';
  const state = random.pick([
    'INVALID',
    'INVALID',
    'INVALID,UNTRACKED',
    'RELATED,ESTABLISHED',
    'NEW',
    'UNTRACKED',
    'NEW,INVALID',
  ]);
  const not = random.chance(0.2) ? '! ' : '';
  return random.pick([
    `-m conntrack ${not}--ctstate ${state}`,
    `-m conntrack ${not}--ctstate ${state}`,
    `-m mark ${not}--mark ${random.pick(MARKS)}`,
    `-m comment --comment "${random.pick(['plain', 'says -j ACCEPT', 'a \\"quote\\" here', '-j'])}"`,
    '-m conntrack --ctproto 6',
    `-m connmark ${not}--mark 0x1`,
    '-m state --state INVALID',
  ]);
}

function randomTarget(random: Prng, table: TableName, chains: string[]): string {
  const targets = ['-j ACCEPT', '-j ACCEPT', '-j DROP', '-j RETURN', '', '-j NFLOG --nflog-group 7'];
  if (chains.length > 0)
    targets.push(`-j ${random.pick(chains)}`, `-j ${random.pick(chains)}`, `-g ${random.pick(chains)}`);
  if (table === 'mangle')
    targets.push(`-j MARK --set-xmark ${random.pick(['0x1/0xffffffff', '0x2/0x3', '0x0/0x0', '0x539/0x539'])}`);
  if (table === 'raw') targets.push('-j CT --notrack', '-j CT --notrack', '-j ACCEPT');
  if (table === 'filter') targets.push('-j REJECT', '-j REJECT --reject-with tcp-reset');
  return random.pick(targets);
}
