import t from 'tap';
import { RULE } from '../../../lib/netfilter/drop-rule.ts';
import { parseRuleset } from '../../../lib/netfilter/ruleset.ts';
import { planWithdrawal } from '../../../lib/netfilter/withdrawal.ts';
import { EXEMPTION, mangle } from './made-checks.ts';

const ALL = '-m conntrack --ctstate INVALID -j DROP';
const SPARED =
  '-p tcp -m conntrack --ctstate INVALID -m socket -m comment --comment "invalid-drop: own sockets" -j ACCEPT';

t.test('every copy of the rule and the exemption of iptables-legacy, and no other rule', async (t) => {
  const rules = mangle(RULE.tcp, '-p udp -j ACCEPT', `[3:180] ${RULE.tcp}`, SPARED, ALL);
  const ruleset = parseRuleset({ legacySave: { ipv4: rules, ipv6: mangle(ALL) } });
  t.same(planWithdrawal(ruleset, ['tcp']), {
    nft: '',
    legacy: {
      ipv4: `*mangle\n-D PREROUTING ${RULE.tcp}\n-D PREROUTING ${RULE.tcp}\n-D PREROUTING ${SPARED}\nCOMMIT\n`,
      ipv6: '',
    },
  });
  t.match(planWithdrawal(ruleset, ['tcp', 'all']).legacy.ipv6, `-D PREROUTING ${ALL}`);
});

t.test('the tables that are ours, and no other', async (t) => {
  const tables = ['ip invalid-drop', 'ip6 invalid-drop', 'ip other', 'inet other'].map((name) => {
    const [family, table] = name.split(' ');
    return `{"table": {"family": "${family}", "name": "${table}", "handle": 1}}`;
  });
  const nft = EXEMPTION.replace('{"nftables": [', `{"nftables": [${tables.join(', ')}, `);
  t.equal(
    planWithdrawal(parseRuleset({ nft }), ['tcp']).nft,
    'delete table ip invalid-drop\ndelete table ip6 invalid-drop\ndelete table inet invalid-drop',
  );
});

t.test('a rule of iptables-nft by its handle', async (t) => {
  const expr = (port: number) =>
    `[{"match": {"op": "==", "left": {"meta": {"key": "mark"}}, "right": ${port}}}, {"drop": null}]`;
  const rule = (handle: number, body: string) =>
    `{"rule": {"family": "ip", "table": "mangle", "chain": "PREROUTING", "handle": ${handle}, "expr": ${body}}}`;
  const nft = `{"nftables": [{"table": {"family": "ip", "name": "mangle", "handle": 1}},
    {"chain": {"family": "ip", "table": "mangle", "name": "PREROUTING", "handle": 1, "type": "filter", "hook": "prerouting", "prio": -150, "policy": "accept"}},
    ${rule(7, '[{"xt": {"type": "match", "name": "conntrack"}}, {"drop": null}]')}, ${rule(9, expr(5))}]}`;
  const nftSave = { ipv4: mangle(RULE.tcp, '-m mark --mark 5 -j DROP') };
  t.equal(planWithdrawal(parseRuleset({ nft, nftSave }), ['tcp']).nft, 'delete rule ip mangle PREROUTING handle 7');
});
