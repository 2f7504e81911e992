import t from 'tap';
import type { Packet } from '../../../lib/netfilter/packet.ts';
import {
  DROP,
  INVALID,
  IPV4,
  IPV6,
  judgeLegacy,
  judgeNft,
  match,
  meta,
  prerouting,
  saved,
  table,
} from './ruleset-dumps.ts';

const OURS = '-A PREROUTING -p tcp -m conntrack --ctstate INVALID -j DROP';
const TO_1_23 = '-A PREROUTING -m conntrack --ctstate INVALID -j DROP';
const FROM_1_24 = [
  ':ISTIO_DROP - [0:0]',
  '-A PREROUTING -m conntrack --ctstate INVALID -j ISTIO_DROP',
  '-A ISTIO_DROP -j DROP',
];
const LO: Packet = { ...IPV4, iif: 'lo' };

/** REDIRECT mode: all in nat (tools/istio-iptables, 1.20 to 1.32). */
const REDIRECT = saved(
  'nat',
  ...[':ISTIO_INBOUND - [0:0]', ':ISTIO_IN_REDIRECT - [0:0]', ':ISTIO_OUTPUT - [0:0]', ':ISTIO_REDIRECT - [0:0]'],
  ...['-A PREROUTING -p tcp -j ISTIO_INBOUND', '-A OUTPUT -j ISTIO_OUTPUT'],
  ...['-A ISTIO_INBOUND -p tcp -m tcp --dport 15008 -j RETURN', '-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT'],
  ...['-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006', '-A ISTIO_OUTPUT -s 127.0.0.6/32 -o lo -j RETURN'],
);

/** TPROXY mode, with rules before and after Istio's own in PREROUTING. */
function tproxy(first: string[], last: string[]): string {
  return saved(
    'mangle',
    ...[':ISTIO_DIVERT - [0:0]', ':ISTIO_INBOUND - [0:0]', ':ISTIO_TPROXY - [0:0]'],
    ...[...first, '-A PREROUTING -p tcp -j ISTIO_INBOUND'],
    '-A PREROUTING -p tcp -m mark --mark 0x539 -j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff',
    ...last,
    ...['-A ISTIO_DIVERT -j MARK --set-xmark 0x539/0xffffffff', '-A ISTIO_DIVERT -j ACCEPT'],
    '-A ISTIO_INBOUND -p tcp -m mark --mark 0x539 -j RETURN',
    '-A ISTIO_INBOUND -s 127.0.0.6/32 -i lo -p tcp -j RETURN',
    '-A ISTIO_INBOUND -i lo -p tcp -m mark ! --mark 0x53a -j RETURN',
    '-A ISTIO_INBOUND -p tcp -m tcp --dport 15020 -j RETURN',
    '-A ISTIO_INBOUND -p tcp -m conntrack --ctstate RELATED,ESTABLISHED -j ISTIO_DIVERT',
    '-A ISTIO_INBOUND -p tcp -j ISTIO_TPROXY',
    '-A ISTIO_TPROXY ! -d 127.0.0.1/32 -p tcp -j TPROXY --on-port 15006 --on-ip 0.0.0.0 --tproxy-mark 0x539/0xffffffff',
  );
}

/** What is known of a segment for the application behind the sidecar. */
const SEGMENT: Packet = { ...IPV4, mark: 0, source: '10.0.0.9', destination: '10.0.0.2', destinationPort: 9000 };

t.test('REDIRECT mode alone lets INVALID packets pass, and no rule is to be blamed', async (t) => {
  t.strictSame(judgeLegacy(REDIRECT), { verdict: 'not dropped', reason: 'no rule drops INVALID TCP packets' });
});

t.test("our rule and each of Istio's forms drop, on every interface and in both families", async (t) => {
  for (const rules of [[OURS], [TO_1_23], FROM_1_24]) {
    for (const packet of [IPV4, IPV6, LO]) {
      t.equal(judgeLegacy(REDIRECT + saved('mangle', ...rules), packet).verdict, 'dropped');
    }
  }
});

t.test('the rule of Istio 1.24 is named by the chain that drops', async (t) => {
  const by = [{ backend: 'legacy', table: 'ip mangle', chain: 'ISTIO_DROP', rule: '-A ISTIO_DROP -j DROP' }];
  t.strictSame(judgeLegacy(saved('mangle', ...FROM_1_24)), { verdict: 'dropped', by });
});

t.test('TPROXY mode with the drop appended: the proxy takes the packet first', async (t) => {
  const verdict = judgeLegacy(tproxy([], [TO_1_23]), SEGMENT);
  t.match(verdict, { verdict: 'not dropped', by: { chain: 'ISTIO_TPROXY' } });
  t.equal(judgeLegacy(tproxy([], [TO_1_23]), IPV4).verdict, 'unknown', 'marks and ports that return are dropped');
});

t.test('TPROXY mode with the drop appended: what is not handed to the proxy is dropped', async (t) => {
  t.equal(judgeLegacy(tproxy([], [TO_1_23]), { ...SEGMENT, destinationPort: 15020 }).verdict, 'dropped');
  t.equal(judgeLegacy(tproxy([], [TO_1_23]), { ...SEGMENT, iif: 'lo' }).verdict, 'dropped');
});

t.test('TPROXY mode with the drop at position 1', async (t) => {
  for (const packet of [IPV4, IPV6, LO]) t.equal(judgeLegacy(tproxy([OURS], []), packet).verdict, 'dropped');
});

t.test('an excluded interface returns before the drop', async (t) => {
  const text = saved('mangle', '-A PREROUTING -i eth1 -j RETURN', ...FROM_1_24);
  t.equal(judgeLegacy(text, IPV4).verdict, 'dropped');
  t.match(judgeLegacy(text, { ...IPV4, iif: 'eth1' }), {
    verdict: 'not dropped',
    by: { chain: 'PREROUTING', rule: '-A PREROUTING -i eth1 -j RETURN' },
    reason: 'accepted by "-A PREROUTING -i eth1 -j RETURN"',
  });
});

t.test("Istio's native nftables table drops in both families", async (t) => {
  const rule = [
    match(meta('l4proto'), 'tcp'),
    INVALID,
    { counter: { packets: 1, bytes: 60 } },
    { jump: { target: 'istio-drop' } },
  ];
  const drop = { name: 'istio-drop', rules: [[{ counter: { packets: 1, bytes: 60 } }, DROP]] };
  const items = table('inet', 'istio-proxy-mangle', [prerouting([rule], { name: 'prerouting' }), drop]);
  for (const packet of [IPV4, IPV6, LO]) {
    t.match(judgeNft(items, packet), { verdict: 'dropped', by: [{ chain: 'istio-drop', packets: 1, bytes: 60 }] });
  }
});
