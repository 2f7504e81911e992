// Kuma's own rule against INVALID packets, in the form of its source (pkg/transparentproxy/iptables/builder/
// builder_table_mangle.go, 2.14.3): rebuilt, as its program is not to be had here.
import t from 'tap';
import { findMangle, ownerOf, RULE } from '../../../lib/netfilter/drop-rule.ts';
import { parseRuleset } from '../../../lib/netfilter/ruleset.ts';
import { droppingRules, isFamilyGuarded } from '../../../lib/netfilter/ruleset-check.ts';
import { planWithdrawal } from '../../../lib/netfilter/withdrawal.ts';
import { checkOf, legacySnapshot, mangle } from './made-checks.ts';
import { IPV4, judgeLegacy } from './ruleset-dumps.ts';

const KUMA =
  '-m comment --comment "kuma/mesh/transparent/proxy/drop packets in the INVALID state to prevent potential issues with malformed or out-of-order packets" -m conntrack --ctstate INVALID -j DROP';

function ownerOfFirst(rule: string): string {
  const ruleset = parseRuleset({ legacySave: { ipv4: mangle(rule), ipv6: '' } });
  const table = findMangle(ruleset, 'ipv4', 'legacy');
  const chain = table?.chains.get('PREROUTING');
  const [first] = chain?.rules ?? [];
  return table && chain && first ? ownerOf({ table, chain, rule: first }) : 'none';
}

t.test("it is named as Kuma's; ours, and that of others, is not", async (t) => {
  t.equal(ownerOfFirst(KUMA), 'kuma (dropInvalidPackets)');
  t.equal(ownerOfFirst(RULE.tcp), 'invalid-drop');
  t.equal(ownerOfFirst(KUMA.replace('kuma/mesh', 'other')), 'another program');
});

t.test('it drops where nothing before it in its chain takes the packet', async (t) => {
  t.match(judgeLegacy(mangle(KUMA)), { verdict: 'dropped', by: [{ rule: `-A PREROUTING ${KUMA}` }] });
  t.equal(judgeLegacy(mangle('-p udp -j ACCEPT', '-i eth1 -j RETURN', KUMA), IPV4).verdict, 'dropped');
});

t.test('it does not where it comes too late, as it is appended', async (t) => {
  for (const before of [
    '-p tcp -j ACCEPT',
    '-i eth0 -j RETURN',
    '-p tcp -j TPROXY --on-port 1 --on-ip 0.0.0.0 --tproxy-mark 0x1/0x1',
  ])
    t.not(judgeLegacy(mangle(before, KUMA), IPV4).verdict, 'dropped', before);
});

t.test('a pod with it is guarded, in the families that have it, and the report says by whom', async (t) => {
  const check = checkOf(legacySnapshot(mangle(KUMA), ''));
  t.ok(isFamilyGuarded(check.families.ipv4));
  t.notOk(isFamilyGuarded(check.families.ipv6));
  t.same(droppingRules(check.families.ipv4).map(ownerOf), ['kuma (dropInvalidPackets)', 'kuma (dropInvalidPackets)']);
});

t.test('a withdrawal leaves it, whatever protocol our rule is for', async (t) => {
  const rules = mangle(KUMA, RULE.tcp);
  const plan = planWithdrawal(parseRuleset({ legacySave: { ipv4: rules, ipv6: rules } }), ['tcp', 'all']);
  t.equal(plan.legacy.ipv4, `*mangle\n-D PREROUTING ${RULE.tcp}\nCOMMIT\n`);
});
