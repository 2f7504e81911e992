import t from 'tap';
import { errors } from '../../../lib/errors.ts';
import { ownerOf, RULE } from '../../../lib/netfilter/drop-rule.ts';
import { chooseBackend, planFamily } from '../../../lib/netfilter/installer.ts';
import type { Json } from '../../../lib/netfilter/nft-expression.ts';
import { parseRuleset } from '../../../lib/netfilter/ruleset.ts';
import type { RulesetSnapshot } from '../../../lib/netfilter/ruleset-reader.ts';
import { findSynproxy } from '../../../lib/netfilter/synproxy.ts';
import { BARE, checkOf, GUARDED, legacySnapshot, mangle } from './made-checks.ts';
import { DROP, INVALID, listing, prerouting, saved, table } from './ruleset-dumps.ts';

const OPTIONS = { protocol: 'tcp', backend: 'auto' } as const;

function plan(reading: RulesetSnapshot, options: Parameters<typeof planFamily>[3] = OPTIONS) {
  return planFamily(reading, checkOf(reading).families.ipv4, 'ipv4', options);
}

t.test('a guarded family is left as it is, and the owner of the rule is named', async (t) => {
  t.same(plan(legacySnapshot(GUARDED)), { do: 'leave', owner: 'invalid-drop' });
  const istio = mangle('-m conntrack --ctstate INVALID -j DROP');
  t.match(plan(legacySnapshot(istio)), { do: 'leave', owner: /istio \(INVALID_DROP, up to 1\.23\)/ });
});

t.test('the rule goes to position 1 in the form that was asked for', async (t) => {
  const input = (rule: string) => `*mangle\n-I PREROUTING 1 ${rule}\nCOMMIT\n`;
  t.same(plan(legacySnapshot(BARE)), { do: 'insert', form: 'rule', backend: 'legacy', input: input(RULE.tcp) });
  const all = plan(legacySnapshot(BARE), { ...OPTIONS, protocol: 'all' });
  t.same(all, {
    do: 'insert',
    form: 'rule',
    backend: 'legacy',
    input: input('-m conntrack --ctstate INVALID -j DROP'),
  });
});

t.test('copies that no longer help are taken away in the same transaction', async (t) => {
  const shadowed = mangle('-p tcp -j ACCEPT', RULE.tcp, RULE.tcp);
  const lines = ['*mangle', `-D PREROUTING ${RULE.tcp}`, `-D PREROUTING ${RULE.tcp}`, `-I PREROUTING 1 ${RULE.tcp}`];
  t.match(plan(legacySnapshot(shadowed)), { do: 'insert', input: `${lines.join('\n')}\nCOMMIT\n` });
});

t.test('copies of the other family are not taken for copies of this one', async (t) => {
  const shadowed = mangle('-p tcp -j ACCEPT', RULE.tcp);
  const input = `*mangle\n-I PREROUTING 1 ${RULE.tcp}\nCOMMIT\n`;
  t.match(plan(legacySnapshot(BARE, shadowed)), { do: 'insert', input });
});

t.test('a copy at position 1 does not keep other copies from being taken away', async (t) => {
  const untracked = '*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j CT --notrack\nCOMMIT\n';
  t.match(plan(legacySnapshot(untracked + mangle(RULE.tcp, RULE.tcp))), { do: 'insert', input: /(-D .*\n){2}-I / });
});

t.test('a rule at position 1 that does not help is not put in again', async (t) => {
  const marked = saved('raw', '-A PREROUTING -m mark ! --mark 0x1 -j CT --notrack');
  t.match(plan(legacySnapshot(marked + GUARDED)), { do: 'fail', error: { code: 'INSERT_USELESS' } });
});

t.test(
  'where other rules take all flows out of conntrack, the rule is put in once, for when they are gone',
  async (t) => {
    const untracked = saved('raw', '-A PREROUTING -p tcp -j CT --notrack');
    t.match(plan(legacySnapshot(untracked + BARE)), { do: 'insert' });
    t.same(plan(legacySnapshot(untracked + GUARDED)), { do: 'leave', owner: 'invalid-drop' });
  },
);

t.test('where SYNPROXY needs INVALID packets no rule is put in, and ours is taken out', async (t) => {
  const synproxy = '-p tcp -m tcp --dport 80 -m conntrack --ctstate INVALID,UNTRACKED -j SYNPROXY --sack-perm';
  const filter = saved('filter', `-A INPUT ${synproxy}`);
  const error = { code: 'SYNPROXY_IN_USE', message: /SYNPROXY --sack-perm.*inject=disabled/ };
  t.match(plan(legacySnapshot(filter + BARE)), { do: 'fail', error });
  const input = `*mangle\n-D PREROUTING ${RULE.tcp}\nCOMMIT\n`;
  t.match(plan(legacySnapshot(filter + GUARDED)), { do: 'withdraw', backend: 'legacy', input, error });
  const istio = mangle('-m conntrack --ctstate INVALID -j DROP');
  t.match(plan(legacySnapshot(filter + istio)), { do: 'fail', error }, "Istio's rule is not ours to take out");
  const other = legacySnapshot(BARE, filter + BARE);
  t.match(plan(other), { do: 'insert' }, 'of the other family');
});

t.test('SYNPROXY is found in every form in which rules are listed', async (t) => {
  const inForms = (...expr: Json[]) =>
    parseRuleset({ nft: listing(table('inet', 't', [prerouting([expr], { hook: 'input' })])) });
  for (const expr of [{ synproxy: { mss: 1460 } }, { synproxy: null }, { xt: { type: 'target', name: 'SYNPROXY' } }]) {
    t.ok(findSynproxy(inForms(expr), 'ipv6'), JSON.stringify(expr));
  }
  t.notOk(findSynproxy(inForms({ xt: { type: 'target', name: 'LOG' } }), 'ipv6'));
});

t.test('rules that cannot be read are never written over', async (t) => {
  const error = errors.LEGACY_UNREADABLE('ipv4', 'Permission denied');
  t.same(plan({ ...legacySnapshot(BARE), readError: { ipv4: error } }), { do: 'fail', error });
  const unseen = { ...legacySnapshot(BARE), xtError: { ipv4: error } };
  t.match(plan(unseen), {
    do: 'insert',
    form: 'table',
    input: /^add table ip invalid-drop\ndelete table ip invalid-drop\n/,
  });
  t.same(plan({ ...unseen, nftWorks: false }), { do: 'fail', error });
});

/** What a reader would give where nft lists these tables. */
function nftSnapshot(...items: Json[]): RulesetSnapshot {
  return {
    ...legacySnapshot(''),
    ruleset: parseRuleset({ nft: listing(items) }),
    legacyTables: { ipv4: [], ipv6: [] },
  };
}

t.test('beside a mangle table that the kernel does not call, the rule has a table of its own', async (t) => {
  const dormant = table('ip', 'mangle', [prerouting([], { name: 'PREROUTING' })], [], 'dormant');
  const input =
    /^table ip invalid-drop \{[^}]*priority -151;[^}]*\nmeta l4proto tcp ct state invalid counter drop\n\}/m;
  t.match(plan(nftSnapshot(...dormant)), { do: 'insert', form: 'table', input });
  t.match(plan(nftSnapshot(...dormant), { ...OPTIONS, protocol: 'all' }), {
    input: /\nct state invalid counter drop\n/,
  });
});

t.test('a rule in a table of its own is ours, is not put in twice, and is taken out for SYNPROXY', async (t) => {
  const own = table('ip', 'invalid-drop', [prerouting([[INVALID, DROP]], { prio: -151 })]);
  t.same(plan(nftSnapshot(...own)), { do: 'leave', owner: 'invalid-drop' });
  const error = errors.LEGACY_UNREADABLE('ipv4', 'Permission denied');
  const reset = table('ip', 't', [prerouting([[{ reject: { type: 'tcp reset' } }]], { prio: -160 })]);
  t.same(plan({ ...nftSnapshot(...own, ...reset), xtError: { ipv4: error } }), { do: 'fail', error });
  const synproxy = table('ip', 't', [prerouting([[{ synproxy: null }]], { hook: 'input' })]);
  t.match(plan(nftSnapshot(...own, ...synproxy)), {
    do: 'withdraw',
    form: 'table',
    input: /^delete table ip invalid-drop$/m,
  });
});

t.test('a family that the kernel lacks is nothing to do; one without addresses is still guarded', async (t) => {
  const reading = legacySnapshot(BARE);
  const { classes } = checkOf(reading).families.ipv6;
  const absent = (unsupported: boolean) => ({
    classes,
    status: { present: false as const, reason: 'none', unsupported },
  });
  t.same(planFamily(reading, absent(true), 'ipv6', OPTIONS), { do: 'nothing', reason: 'none' });
  t.match(planFamily(reading, absent(false), 'ipv6', OPTIONS), { do: 'insert' });
});

t.test('the backend is the one that istio-iptables would choose', async (t) => {
  const reading = { ...legacySnapshot(''), legacyTables: { ipv4: ['nat'], ipv6: [] } };
  t.equal(chooseBackend(reading, 'ipv4', 'auto'), 'legacy');
  t.equal(chooseBackend(reading, 'ipv6', 'auto'), 'nft');
  t.equal(chooseBackend({ ...reading, nftWorks: false }, 'ipv6', 'auto'), 'legacy');
  t.equal(chooseBackend(reading, 'ipv4', 'nft'), 'nft');
  t.equal(chooseBackend(reading, 'ipv6', 'legacy'), 'legacy');
});

t.test('the owner of a rule is told from its place and options', async (t) => {
  const ownersIn = (text: string, chain: string) => {
    const [table] = parseRuleset({ legacySave: { ipv4: text } });
    const found = table?.chains.get(chain);
    return table && found ? found.rules.map((rule) => ownerOf({ table, chain: found, rule })) : [];
  };
  t.match(ownersIn(saved('mangle', ':ISTIO_DROP - [0:0]', '-A ISTIO_DROP -j DROP'), 'ISTIO_DROP'), [/1\.24/]);
  const native = {
    backend: 'nft',
    family: 'inet',
    name: 'istio-proxy-mangle',
    dormant: false,
    chains: new Map(),
  } as const;
  t.match(ownerOf({ table: native, chain: { name: 'istio-drop', policy: 'accept', rules: [] } }), /native nftables/);
  t.same(ownersIn(mangle(RULE.tcp, '-j DROP'), 'PREROUTING'), ['invalid-drop', 'another program']);
});
