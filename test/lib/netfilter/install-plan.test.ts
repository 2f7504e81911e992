import t from 'tap';
import { errors } from '../../../lib/errors.ts';
import { ownerOf, RULE } from '../../../lib/netfilter/drop-rule.ts';
import { chooseBackend, planFamily } from '../../../lib/netfilter/install-plan.ts';
import type { Reading } from '../../../lib/netfilter/ruleset-reader.ts';
import { BARE, GUARDED, legacyReading, lookAt, mangle } from './made-checks.ts';

const OPTIONS = { protocol: 'tcp', backend: 'auto' } as const;

function plan(reading: Reading, options: Parameters<typeof planFamily>[3] = OPTIONS) {
  return planFamily(reading, lookAt(reading).families.ipv4, 'ipv4', options);
}

t.test('a guarded family is left as it is, and the owner of the rule is named', async (t) => {
  t.same(plan(legacyReading(GUARDED)), { do: 'leave', owner: 'invalid-drop' });
  const istio = mangle('-m conntrack --ctstate INVALID -j DROP');
  t.match(plan(legacyReading(istio)), { do: 'leave', owner: /istio \(INVALID_DROP, up to 1\.23\)/ });
});

t.test('the rule goes to position 1 in the form that was asked for', async (t) => {
  const input = (rule: string) => `*mangle\n-I PREROUTING 1 ${rule}\nCOMMIT\n`;
  t.same(plan(legacyReading(BARE)), { do: 'insert', backend: 'legacy', input: input(RULE.tcp) });
  const all = plan(legacyReading(BARE), { ...OPTIONS, protocol: 'all' });
  t.same(all, { do: 'insert', backend: 'legacy', input: input('-m conntrack --ctstate INVALID -j DROP') });
});

t.test('copies that no longer help are taken away in the same transaction', async (t) => {
  const shadowed = mangle('-p tcp -j ACCEPT', RULE.tcp, RULE.tcp);
  const lines = ['*mangle', `-D PREROUTING ${RULE.tcp}`, `-D PREROUTING ${RULE.tcp}`, `-I PREROUTING 1 ${RULE.tcp}`];
  t.match(plan(legacyReading(shadowed)), { do: 'insert', input: `${lines.join('\n')}\nCOMMIT\n` });
});

t.test('copies of the other family are not taken for copies of this one', async (t) => {
  const shadowed = mangle('-p tcp -j ACCEPT', RULE.tcp);
  const input = `*mangle\n-I PREROUTING 1 ${RULE.tcp}\nCOMMIT\n`;
  t.match(plan(legacyReading(BARE, shadowed)), { do: 'insert', input });
});

t.test('a copy at position 1 does not keep other copies from being taken away', async (t) => {
  const untracked = '*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j CT --notrack\nCOMMIT\n';
  t.match(plan(legacyReading(untracked + mangle(RULE.tcp, RULE.tcp))), { do: 'insert', input: /(-D .*\n){2}-I / });
});

t.test('a rule at position 1 that does not help is not put in again', async (t) => {
  const untracked = `*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j CT --notrack\nCOMMIT\n${GUARDED}`;
  t.match(plan(legacyReading(untracked)), { do: 'fail', error: { code: 'INSERT_USELESS' } });
});

t.test('rules that cannot be read are never written over', async (t) => {
  const error = errors.LEGACY_UNREADABLE('ipv4', 'Permission denied');
  t.same(plan({ ...legacyReading(BARE), unreadable: { ipv4: error } }), { do: 'fail', error });
  t.same(plan({ ...legacyReading(BARE), unexplained: { ipv4: error } }), { do: 'fail', error });
});

t.test('a family that the kernel lacks is nothing to do; one without addresses is still guarded', async (t) => {
  const reading = legacyReading(BARE);
  const { classes } = lookAt(reading).families.ipv6;
  const absent = (kernel: boolean) => ({ classes, presence: { present: false as const, reason: 'none', kernel } });
  t.same(planFamily(reading, absent(true), 'ipv6', OPTIONS), { do: 'nothing', reason: 'none' });
  t.match(planFamily(reading, absent(false), 'ipv6', OPTIONS), { do: 'insert' });
});

t.test('the backend is the one that istio-iptables would choose', async (t) => {
  const reading = { ...legacyReading(''), legacyTables: { ipv4: ['nat'], ipv6: [] } };
  t.equal(chooseBackend(reading, 'ipv4', 'auto'), 'legacy');
  t.equal(chooseBackend(reading, 'ipv6', 'auto'), 'nft');
  t.equal(chooseBackend({ ...reading, nftWorks: false }, 'ipv6', 'auto'), 'legacy');
  t.equal(chooseBackend(reading, 'ipv4', 'nft'), 'nft');
  t.equal(chooseBackend(reading, 'ipv6', 'legacy'), 'legacy');
});

t.test('the owner of a rule is told from its place and text', async (t) => {
  const rule = { backend: 'nft', table: 'ip mangle', chain: 'PREROUTING', rule: '' } as const;
  t.match(ownerOf({ ...rule, chain: 'ISTIO_DROP', rule: '-A ISTIO_DROP -j DROP' }), /1\.24/);
  t.match(ownerOf({ ...rule, table: 'inet istio-proxy-mangle', chain: 'istio-drop' }), /native nftables/);
  t.equal(ownerOf({ ...rule, rule: `-A PREROUTING ${RULE.tcp}` }), 'invalid-drop');
  t.equal(ownerOf({ ...rule, rule: '-A PREROUTING -j DROP' }), 'another program');
});
