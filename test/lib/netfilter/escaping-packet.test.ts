import t from 'tap';
import type { Packet } from '../../../lib/netfilter/packet.ts';
import { IPV4, IPV6, judgeLegacy, KNOWN, saved } from './ruleset-dumps.ts';

const DROP = '-A PREROUTING -p tcp -m conntrack --ctstate INVALID -j DROP';
const HERE: Packet = { ...IPV4, localAddresses: ['127.0.0.1', '10.77.0.2'] };
const LO: Packet = { ...HERE, iif: 'lo' };
const HERE6: Packet = { ...IPV6, localAddresses: ['::1', 'fd77::2'] };

/** Rules of mangle, and which packets escape the drop that follows them; undefined where the verdict is `unknown`. */
const BEFORE_THE_DROP: [rules: string[], packet: Packet, which: RegExp | undefined][] = [
  [['-p tcp -m tcp --dport 9000 -j ACCEPT'], HERE, /, for packets such as one to port 9000$/],
  [['-p tcp -m tcp --dport 8000:9000 -j ACCEPT'], HERE, /to port 8000$/],
  [['-p tcp -m multiport --dports 22,80,8000:9000 -j ACCEPT'], HERE, /to port 22$/],
  [['-p tcp -m tcp ! --dport 9000 -j ACCEPT'], HERE, /to port 1$/],
  [['-p tcp -m tcp --sport 443 -j ACCEPT'], HERE, /from port 443$/],
  [['-s 203.0.113.0/24 -p tcp -j ACCEPT'], HERE, /from 203\.0\.113\.0$/],
  [['-s 203.0.113.7/32 -p tcp -m tcp --dport 80 -j ACCEPT'], HERE, /to port 80 from 203\.0\.113\.7$/],
  [['-s 2001:db8::/64 -p tcp -j ACCEPT'], HERE6, /from 2001:db8::$/],
  [['-d 10.77.0.2/32 -p tcp -j ACCEPT'], HERE, /at 10\.77\.0\.2$/],
  [['-d 10.77.0.3/32 -p tcp -j ACCEPT'], HERE, undefined],
  [['-d 127.0.0.0/8 -p tcp -j ACCEPT'], HERE, undefined],
  [['-d 127.0.0.0/8 -p tcp -j ACCEPT'], LO, /at 127\.0\.0\.1$/],
  [['-d 10.77.0.2/32 -p tcp -j ACCEPT'], IPV4, undefined],
  [['-s 127.0.0.0/8 -p tcp -j ACCEPT'], HERE, undefined],
  [['-s 10.77.0.2/32 -p tcp -j ACCEPT'], LO, /from 10\.77\.0\.2$/],
  [['-s 203.0.113.7/32 -p tcp -j ACCEPT'], LO, undefined],
  [['-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j ACCEPT'], HERE, undefined],
  [['-p tcp -m tcp --tcp-flags ACK ACK -j ACCEPT'], HERE, /INVALID|ACK/],
  [['-m mark --mark 0x1 -p tcp -m tcp --dport 9000 -j ACCEPT'], HERE, undefined],
  [['-m statistic --mode random --probability 0.5 -j ACCEPT'], HERE, undefined],
  [
    ['-m statistic --mode random --probability 0.5 -j ACCEPT', '-p tcp -m tcp --dport 9000 -j ACCEPT'],
    HERE,
    /to port 9000$/,
  ],
];

for (const [rules, packet, which] of BEFORE_THE_DROP) {
  const name = which ? 'not dropped' : 'unknown';
  t.test(`"${rules.join('", "')}" before the drop, on ${packet.iif}: ${name}`, async (t) => {
    const verdict = judgeLegacy(saved('mangle', ...rules.map((rule) => `-A PREROUTING ${rule}`), DROP), packet);
    t.equal(verdict.verdict, name);
    if (which) t.match(verdict, { by: { rule: new RegExp(String(rules[0]?.slice(0, 9))) }, reason: which });
  });
}

t.test('a drop for some only is no drop for the others', async (t) => {
  const verdict = judgeLegacy(saved('mangle', '-A PREROUTING -s 192.0.2.1/32 -j DROP'), HERE);
  t.match(verdict, {
    verdict: 'not dropped',
    reason: /^no rule drops .*, for packets such as one from \d+\.\d+\.\d+\.\d+$/,
  });
});

t.test('packets that no sender can choose so do not count', async (t) => {
  const rules = ['--dport 9000 -j MARK --set-xmark 0x1', '! --dport 9000 -j MARK --set-xmark 0x2'];
  const last = ['-A PREROUTING -m mark --mark 0x1 -p tcp -m tcp --dport 80 -j ACCEPT', DROP];
  const text = saved('mangle', ...rules.map((rule) => `-A PREROUTING -p tcp -m tcp ${rule}/0xffffffff`), ...last);
  t.equal(judgeLegacy(text, HERE).verdict, 'dropped', 'a mark of its own for each port');
  const chain = [
    ':WEB - [0:0]',
    '-A PREROUTING -p tcp -m tcp --dport 80 -j WEB',
    '-A WEB -p tcp -m tcp --dport 81 -j ACCEPT',
  ];
  t.equal(judgeLegacy(saved('mangle', ...chain, DROP), HERE).verdict, 'dropped', 'two ports at once');
  const sources = [
    ':NET - [0:0]',
    '-A PREROUTING -s 10.0.0.0/8 -j NET',
    '-A NET ! -s 10.0.0.0/9 -d 10.0.0.1/32 -s 10.1.0.0/16 -j ACCEPT',
  ];
  t.equal(judgeLegacy(saved('mangle', ...sources, DROP), HERE).verdict, 'dropped', 'two networks at once');
});

t.test('the reason names no rule that the packet cannot match, and none that makes no difference', async (t) => {
  const rules = [
    '-A PREROUTING -m statistic --mode random --probability 0.1 -p udp -j ACCEPT',
    '-A PREROUTING -s 10.0.0.1/32 -i eth1 -j ACCEPT',
    '-A PREROUTING -s 10.0.0.1/32 -p tcp -m mark --mark 0x5 -j LOG',
    '-A PREROUTING -m mark --mark 0x7 -j ACCEPT',
  ];
  const verdict = judgeLegacy(saved('mangle', ...rules, DROP), HERE);
  t.match(verdict, { verdict: 'unknown', reason: /^depends on "-m mark --mark 0x7" in rule "[^"]*"$/ });
});

t.test('thousands of services do not keep the one packet from being found', async (t) => {
  const services = Array.from(
    { length: 3000 },
    (_, i) => `-A PREROUTING -d 10.96.${i >> 8}.${i & 255}/32 -p tcp -m tcp --dport ${1000 + i} -j ACCEPT`,
  );
  const verdict = judgeLegacy(
    saved('mangle', ...services, '-A PREROUTING -p tcp -m tcp --dport 80 -j ACCEPT', DROP),
    HERE,
  );
  t.match(verdict, { verdict: 'not dropped', reason: /to port 80 at 10\.77\.0\.2$/ });
});

t.test('of a packet that is known the verdict names no others', async (t) => {
  const text = saved('mangle', '-A PREROUTING -p tcp -m tcp --dport 9000 -j ACCEPT', DROP);
  t.match(judgeLegacy(text, KNOWN), { verdict: 'not dropped', reason: /--dport 9000 -j ACCEPT"$/ });
});
