import t from 'tap';
import type { Packet } from '../../../lib/netfilter/packet.ts';
import { IPV4, judgeLegacy, KNOWN, saved } from './ruleset-dumps.ts';

const DROP_INVALID = '-A PREROUTING -m conntrack --ctstate INVALID -j DROP';
const RESET: Packet = { ...KNOWN, flags: 4 };

/** What becomes of the packet where the rule stands before the drop of INVALID packets. */
const BEFORE_THE_DROP: [rule: string, verdict: string][] = [
  ['-j ACCEPT', 'not dropped'],
  ['-j DROP', 'dropped'],
  ['-j RETURN', 'not dropped'],
  ['', 'dropped'],
  ['-p tcp', 'dropped'],
  ['-p udp -j ACCEPT', 'dropped'],
  ['-j LOG --log-prefix "-j ACCEPT "', 'dropped'],
  ['-j LOG --log-prefix -j', 'dropped'],
  ['-j NFLOG --nflog-group 7', 'dropped'],
  ['-j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff', 'dropped'],
  ['-j TOS --set-tos 0x08/0xff', 'dropped'],
  ['-j TTL --ttl-set 9', 'dropped'],
  ['-j TCPMSS --set-mss 1000', 'dropped'],
  ['-j TEE --gateway 10.0.0.1', 'dropped'],
  ['-j MARK --set-xmark 0x1/0xffffffff', 'dropped'],
  ['-j TPROXY --on-port 15006 --on-ip 0.0.0.0 --tproxy-mark 0x539/0xffffffff', 'not dropped'],
  ['-j NFQUEUE --queue-num 1', 'unknown'],
  ['-j QUEUE', 'unknown'],
  ['-j SYNPROXY --sack-perm', 'unknown'],
  ['-j UNHEARD', 'unknown'],
  ['-g UNHEARD', 'unknown'],
  ['-j MARK --set-nothing 1', 'unknown'],
  ['-j TPROXY --on-port 1 --tproxy-mark x', 'unknown'],
  ['-m socket -j ACCEPT', 'unknown'],
  ['-m socket -j DROP', 'dropped'],
  ['DROP', 'unknown'],
  ['-j DROP -A PREROUTING', 'unknown'],
  ['-m helper --helper -m -j ACCEPT', 'unknown'],
];

for (const [rule, verdict] of BEFORE_THE_DROP) {
  t.test(`"${rule}" before the drop of INVALID packets: ${verdict}`, async (t) => {
    t.equal(judgeLegacy(saved('mangle', `-A PREROUTING ${rule}`, DROP_INVALID)).verdict, verdict);
  });
}

/** `MARK` and then a rule that drops what does not carry the mark. */
const MARKS: [rule: string, mark: string, verdict: string][] = [
  ['--set-xmark 0x539/0xffffffff', '0x539', 'not dropped'],
  ['--set-xmark 0x2/0x3', '0x2/0x3', 'not dropped'],
  ['--set-xmark 0x2/0x3', '0x3/0x3', 'dropped'],
  ['--set-xmark 0x2/0x3', '0x2', 'unknown'],
  ['--set-mark 0x1/0x2', '0x1/0x3', 'not dropped'],
  ['--or-mark 0x4', '0x4/0x4', 'not dropped'],
  ['--or-mark 0x4', '0x4/0x5', 'unknown'],
  ['--and-mark 0xfffffffe', '0x0/0x1', 'not dropped'],
  ['--xor-mark 0x1', '0x1/0x1', 'unknown'],
];

for (const [change, mark, verdict] of MARKS) {
  t.test(`after MARK ${change} on any mark, a drop of all but ${mark}: ${verdict}`, async (t) => {
    const rules = [`-A PREROUTING -j MARK ${change}`, `-A PREROUTING -m mark ! --mark ${mark} -j DROP`];
    t.equal(judgeLegacy(saved('mangle', ...rules)).verdict, verdict);
  });
}

t.test('xor on a mark that is known gives a mark that is known', async (t) => {
  const rules = ['-A PREROUTING -j MARK --xor-mark 0x3', '-A PREROUTING -m mark --mark 0x2 -j DROP'];
  t.equal(judgeLegacy(saved('mangle', ...rules), { ...IPV4, mark: 1 }).verdict, 'dropped');
});

for (const target of ['HMARK --hmark-tuple src --hmark-mod 9 --hmark-rnd 1', 'SET --map-set s src --map-mark']) {
  t.test(`-j ${target.split(' ')[0]} leaves a mark that nobody knows`, async (t) => {
    const rules = [`-A PREROUTING -j ${target}`, '-A PREROUTING -m mark --mark 0x0 -j DROP'];
    t.equal(judgeLegacy(saved('mangle', ...rules), KNOWN).verdict, 'unknown');
  });
}

t.test('-m socket --restore-skmark leaves a mark that nobody knows', async (t) => {
  const restored = ['-A PREROUTING -m socket --restore-skmark', '-A PREROUTING -m mark --mark 0x0 -j DROP'];
  t.equal(judgeLegacy(saved('mangle', ...restored), { ...KNOWN, socket: 'own' }).verdict, 'unknown');
});

t.test('-j SET that only adds to a set changes nothing', async (t) => {
  const rules = ['-A PREROUTING -j SET --add-set s src', '-A PREROUTING -m mark --mark 0x0 -j DROP'];
  t.equal(judgeLegacy(saved('mangle', ...rules), KNOWN).verdict, 'dropped');
});

t.test('the mark that TPROXY sets is seen in INPUT', async (t) => {
  const tproxy = '-A PREROUTING -p tcp -j TPROXY --on-port 15006 --on-ip 0.0.0.0 --tproxy-mark 0x539/0xffffffff';
  const text = saved('mangle', tproxy, '-A INPUT -m mark --mark 0x539 -j DROP');
  t.equal(judgeLegacy(text).verdict, 'dropped');
  t.equal(judgeLegacy(saved('mangle', tproxy)).verdict, 'not dropped');
});

const REJECTS: [options: string, packet: Packet, verdict: string][] = [
  ['--reject-with tcp-reset', IPV4, 'not dropped'],
  ['--reject-with tcp-reset', RESET, 'dropped'],
  ['--reject-with icmp-port-unreachable', IPV4, 'dropped'],
  ['--reject-with icmp-admin-prohibited', IPV4, 'dropped'],
];

for (const [options, packet, verdict] of REJECTS) {
  const what = packet === RESET ? 'a reset' : 'a segment';
  t.test(`REJECT ${options} of ${what}: ${verdict}`, async (t) => {
    const result = judgeLegacy(saved('filter', `-A INPUT -p tcp -j REJECT ${options}`), packet);
    t.equal(result.verdict, verdict);
    t.match(result, { by: verdict === 'dropped' ? [{ chain: 'INPUT' }] : { chain: 'INPUT' } });
  });
}

/** Rules of raw before the drop in mangle, and what becomes of packets on eth0 and on lo. */
const NOTRACK: [rules: string[], verdict: string, onLoopback: string][] = [
  [['-j NOTRACK'], 'dropped', 'not dropped'],
  [['-p tcp -j CT --notrack'], 'dropped', 'not dropped'],
  [['-i eth0 -j NOTRACK'], 'dropped', 'dropped'],
  [['-p tcp -m tcp --dport 9001 -j NOTRACK'], 'dropped', 'not dropped'],
  [['-p tcp -m tcp --sport 53 -j CT --notrack'], 'dropped', 'not dropped'],
  [['-d 169.254.20.10/32 -p tcp -m tcp --dport 53 -j CT --notrack'], 'dropped', 'unknown'],
  [['! -s 10.0.0.0/8 -p tcp -m multiport --dports 53,9001 -j NOTRACK'], 'dropped', 'unknown'],
  [['-p tcp -m tcp --dport 1 -j RETURN', '-p tcp -j NOTRACK'], 'dropped', 'not dropped'],
  [['-p tcp -m conntrack --ctstate INVALID -m tcp --dport 1 -j NOTRACK'], 'dropped', 'not dropped'],
  [['-m mark --mark 0x1 -j NOTRACK'], 'unknown', 'unknown'],
  [['-m mark --mark 0x1 -j RETURN', '-p tcp -m tcp --dport 9001 -j NOTRACK'], 'unknown', 'unknown'],
  [['-p tcp -m tcp --tcp-flags SYN SYN -j NOTRACK'], 'unknown', 'unknown'],
  [['-p tcp -m socket --nowildcard -j NOTRACK'], 'unknown', 'unknown'],
  [['-p tcp -m statistic --mode random --probability 0.5 -j NOTRACK'], 'unknown', 'unknown'],
  [['-p tcp -m length --length 40 -j RETURN', '-p tcp -j NOTRACK'], 'unknown', 'unknown'],
  [['-j CT --zone 1'], 'dropped', 'dropped'],
  [['-j CT --helper ftp'], 'dropped', 'dropped'],
];

for (const [rules, verdict, onLoopback] of NOTRACK) {
  t.test(`"${rules.join('", "')}" in raw before the drop in mangle: ${verdict}, on lo ${onLoopback}`, async (t) => {
    const text = saved('raw', ...rules.map((rule) => `-A PREROUTING ${rule}`)) + saved('mangle', DROP_INVALID);
    t.equal(judgeLegacy(text).verdict, verdict);
    t.equal(judgeLegacy(text, { ...IPV4, iif: 'lo' }).verdict, onLoopback);
  });
}

t.test('a flow out of conntrack does not stand for those that are tracked', async (t) => {
  const text = saved('raw', '-A PREROUTING -p tcp -m tcp --dport 9001 -j NOTRACK');
  t.match(judgeLegacy(text), { verdict: 'not dropped', reason: 'no rule drops INVALID TCP packets' });
});

t.test('an untracked packet is dropped as such', async (t) => {
  const notrack = saved('raw', '-A PREROUTING -m mark --mark 0x0 -j NOTRACK');
  const drop = '-A PREROUTING -m conntrack --ctstate UNTRACKED -j DROP';
  t.match(judgeLegacy(notrack + saved('mangle', drop), { ...IPV4, mark: 0 }), { verdict: 'dropped', by: [{}] });
});

t.test('between CT --zone and conntrack the state is that of a template, and connections may match', async (t) => {
  const zone = '-A PREROUTING -j CT --zone 1';
  for (const match of ['conntrack --ctstate INVALID', 'connmark --mark 0x0', 'conntrack --ctproto 6']) {
    t.equal(judgeLegacy(saved('raw', zone, `-A PREROUTING -m ${match} -j DROP`)).verdict, 'unknown', match);
  }
});

t.test('CT --zone after NOTRACK leaves the packet untracked, and NOTRACK after CT --zone does nothing', async (t) => {
  const drop = saved('mangle', DROP_INVALID);
  const rules = ['-A PREROUTING -j CT --zone 1', '-A PREROUTING -j NOTRACK'];
  t.equal(judgeLegacy(saved('raw', ...rules) + drop).verdict, 'dropped');
  t.equal(judgeLegacy(saved('raw', ...rules.reverse()) + drop).verdict, 'dropped');
  const marked = ['-A PREROUTING -m mark --mark 0x0 -j NOTRACK', '-A PREROUTING -j CT --zone 1'];
  const verdict = judgeLegacy(saved('raw', ...marked) + drop, { ...IPV4, mark: 0 }).verdict;
  t.equal(verdict, 'unknown', 'nft would set the zone');
});

t.test('a user chain goes before an extension of the same name', async (t) => {
  t.equal(judgeLegacy(saved('mangle', ':LOG - [0:0]', '-A PREROUTING -j LOG', '-A LOG -j DROP')).verdict, 'dropped');
});
