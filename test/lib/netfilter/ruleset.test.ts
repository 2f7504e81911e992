import t from 'tap';
import type { Json } from '../../../lib/netfilter/nft-expression.ts';
import { parseRuleset } from '../../../lib/netfilter/ruleset.ts';
import {
  ACCEPT,
  DROP,
  IPV4,
  IPV6,
  judgeNft,
  KNOWN,
  listing,
  match,
  meta,
  payload,
  prerouting,
  saved,
  table,
} from './ruleset-dumps.ts';

const xt = (type: string, name: string): Json => ({ xt: { type, name } });
const TCP = match(meta('l4proto'), 'tcp');
const COUNTER: Json = { counter: { packets: 3, bytes: 120 } };

/** A mangle table of iptables-nft as nft prints it. */
const mangleTable = (...rules: Json[][]): Json[] =>
  table('ip', 'mangle', [{ ...prerouting(rules), name: 'PREROUTING' }]);
const nftSave = (...rules: string[]) => ({ nftSave: { ipv4: saved('mangle', ...rules) } });

t.test('an iptables extension is explained by the same rule of iptables-nft-save', async (t) => {
  const items = mangleTable([TCP, xt('match', 'conntrack'), COUNTER, DROP]);
  const rule = '-A PREROUTING -p tcp -m conntrack --ctstate INVALID -j DROP';
  const verdict = judgeNft(items, IPV4, nftSave(`[3:120] ${rule}`));
  const by = [{ backend: 'nft', table: 'ip mangle', chain: 'PREROUTING', rule, packets: 3, bytes: 120 }];
  t.strictSame(verdict, { verdict: 'dropped', by });
  t.equal(judgeNft(items).verdict, 'unknown', 'without the save text');
  t.equal(
    judgeNft(items, IPV4, nftSave('-A PREROUTING -p tcp -m conntrack --ctstate NEW -j DROP')).verdict,
    'not dropped',
  );
});

t.test('the save text counts only for what nft calls opaque: it leaves out what it does not know', async (t) => {
  const address = match(payload('ip', 'saddr'), { set: ['192.0.2.1', '192.0.2.2'] });
  const native = mangleTable([address, ACCEPT], [TCP, xt('match', 'conntrack'), DROP]);
  const text = nftSave('-A PREROUTING -j ACCEPT', '-A PREROUTING -p tcp -m conntrack --ctstate INVALID -j DROP');
  t.equal(judgeNft(native, KNOWN, text).verdict, 'dropped');
  const mixed = mangleTable([address, xt('match', 'comment'), ACCEPT], [DROP]);
  const lie = nftSave('-A PREROUTING -m comment --comment x -j ACCEPT', '-A PREROUTING -j DROP');
  t.equal(judgeNft(mixed, KNOWN, lie).verdict, 'dropped', 'the address counts though the save text has none');
  t.equal(judgeNft(mixed, { ...KNOWN, source: '192.0.2.2' }, lie).verdict, 'not dropped');
  const invented = nftSave('-A PREROUTING -s 198.51.100.1/32 -m comment --comment x -j DROP');
  t.equal(judgeNft(mangleTable([xt('match', 'comment'), DROP]), KNOWN, invented).verdict, 'dropped', 'nor does it add');
});

t.test('a save text that names other extensions, or another number of rules, explains nothing', async (t) => {
  const items = mangleTable([TCP, xt('match', 'conntrack'), DROP]);
  t.equal(judgeNft(items, IPV4, nftSave('-A PREROUTING -p tcp -j DROP')).verdict, 'unknown');
  const rule = '-A PREROUTING -p tcp -m conntrack --ctstate INVALID -j DROP';
  t.equal(judgeNft(items, IPV4, nftSave(rule, rule)).verdict, 'unknown');
  const target = mangleTable([xt('target', 'REJECT')]);
  t.equal(judgeNft(target, IPV4, nftSave('-A PREROUTING -j ACCEPT')).verdict, 'unknown');
  t.equal(judgeNft(target, IPV4, nftSave('-A PREROUTING')).verdict, 'unknown');
  t.equal(judgeNft(target, IPV4, { nftSave: { ipv6: saved('mangle', '-A PREROUTING -j REJECT') } }).verdict, 'unknown');
});

t.test('extensions that iptables knows by another name than the kernel are explained', async (t) => {
  const state = mangleTable([xt('match', 'conntrack'), DROP]);
  t.equal(judgeNft(state, IPV4, nftSave('-A PREROUTING -m state --state INVALID -j DROP')).verdict, 'dropped');
  const raw = table('ip', 'raw', [{ ...prerouting([[xt('target', 'CT')]], { prio: -300 }), name: 'PREROUTING' }]);
  const text = { nftSave: { ipv4: saved('raw', '-A PREROUTING -j NOTRACK') } };
  const drop = mangleTable([match({ ct: { key: 'state' } }, 'invalid', 'in'), DROP]);
  t.same(judgeNft([...raw, ...drop], IPV4, text), { verdict: 'dropped', by: [] });
});

/** As nft 0.9.8 prints any extension. */
const NAMELESS: Json = { xt: null };

t.test('extensions without a name get those of the save text, in its order', async (t) => {
  const items = mangleTable([TCP, NAMELESS, NAMELESS, NAMELESS, COUNTER, DROP]);
  const rule = (state: string) =>
    nftSave(
      `-A PREROUTING -p tcp -m conntrack --ctstate ${state} -m comment --comment "a -m b" -m tcp --dport 9000 -j DROP`,
    );
  t.equal(judgeNft(items, KNOWN).verdict, 'unknown', 'without the save text');
  t.equal(judgeNft(items, KNOWN, rule('INVALID')).verdict, 'dropped');
  t.equal(judgeNft(items, KNOWN, rule('NEW')).verdict, 'not dropped');
  const mark = mangleTable([TCP, NAMELESS, COUNTER, NAMELESS], [match(meta('mark'), 4), DROP]);
  const text = nftSave(
    '-A PREROUTING -p tcp -m mark --mark 0x0 -j MARK --set-xmark 0x4/0xffffffff',
    '-A PREROUTING -j DROP',
  );
  t.equal(judgeNft(mark, KNOWN, text).verdict, 'dropped', 'a target comes last');
  const raw = table('ip', 'raw', [{ ...prerouting([[NAMELESS]], { prio: -300 }), name: 'PREROUTING' }]);
  const tracked = { nftSave: { ipv4: saved('raw', '-A PREROUTING -j NOTRACK') } };
  const drop = mangleTable([match({ ct: { key: 'state' } }, 'invalid', 'in'), DROP]);
  t.same(judgeNft([...raw, ...drop], IPV4, tracked), { verdict: 'dropped', by: [] }, 'by the name that the kernel has');
});

t.test('extensions without a name stay unknown where the save text has another number of them', async (t) => {
  const limit: Json = { limit: { rate: 5, per: 'second' } };
  const items = mangleTable([limit, NAMELESS], [match(meta('mark'), 4), ACCEPT], [TCP, DROP]);
  const text = nftSave(
    '-A PREROUTING -m limit --limit 5/sec -j MARK --set-xmark 0x4/0xffffffff',
    '-A PREROUTING -m mark --mark 0x4 -j ACCEPT',
    '-A PREROUTING -p tcp -j DROP',
  );
  t.equal(judgeNft(items, KNOWN, text).verdict, 'unknown');
  const more = nftSave('-A PREROUTING -p tcp -m conntrack --ctstate INVALID -m mark --mark 0x0 -j DROP');
  t.equal(judgeNft(mangleTable([TCP, NAMELESS, DROP]), KNOWN, more).verdict, 'unknown');
});

t.test('two matches of one extension are both explained', async (t) => {
  const items = mangleTable([xt('match', 'conntrack'), xt('match', 'conntrack'), DROP]);
  const text = (second: string) =>
    nftSave(`-A PREROUTING -m conntrack --ctstate INVALID -m conntrack --ctstate ${second} -j DROP`);
  t.equal(judgeNft(items, IPV4, text('INVALID,NEW')).verdict, 'dropped');
  t.equal(judgeNft(items, IPV4, text('NEW')).verdict, 'not dropped');
});

t.test('legacy and nft tables are both there', async (t) => {
  const legacySave = { ipv6: saved('mangle', '-A PREROUTING -j DROP') };
  t.equal(judgeNft(mangleTable([ACCEPT]), IPV6, { legacySave }).verdict, 'dropped');
  t.equal(judgeNft(mangleTable([ACCEPT]), IPV4, { legacySave }).verdict, 'not dropped');
  t.equal(judgeNft(mangleTable([DROP]), IPV4, { legacySave }).verdict, 'dropped');
});

const FLAGS: [name: string, table: string, flags: Json | undefined, told: boolean | undefined, verdict: string][] = [
  ['no flags', 't', undefined, undefined, 'dropped'],
  ['flag dormant', 't', 'dormant', undefined, 'not dropped'],
  ['flags dormant and owner', 't', ['owner', 'dormant'], undefined, 'not dropped'],
  ['flag owner', 't', 'owner', undefined, 'unknown'],
  ["the table's family as flag (nft 1.0.6)", 't', 'inet', undefined, 'unknown'],
  ['flag owner, and told not to be dormant', 't', ['owner'], false, 'dropped'],
  ["the table's own name as flag (nft 1.0.6)", 't', 't', undefined, 'unknown'],
  ['a table called dormant with a flag', 'dormant', 'dormant', undefined, 'unknown'],
  ['its own name as flag, and told to be dormant', 't', 't', true, 'not dropped'],
  ['its own name as flag, and told not to be dormant', 't', 't', false, 'dropped'],
];

for (const [name, called, flags, told, verdict] of FLAGS) {
  t.test(`a table with ${name}: ${verdict}`, async (t) => {
    const items = table('inet', called, [prerouting([[DROP]])], [], flags);
    const texts = told === undefined ? {} : { tableTexts: { [`inet ${called}`]: { dormant: told, devices: {} } } };
    t.equal(judgeNft(items, IPV4, texts).verdict, verdict);
  });
}

const DEVICES: [name: string, dev: Json | undefined, told: string[] | undefined, verdict: string][] = [
  ['eth0', 'eth0', undefined, 'dropped'],
  ['lo', 'lo', undefined, 'not dropped'],
  ['lo and eth0', ['lo', 'eth0'], undefined, 'dropped'],
  ['eth*', 'eth*', undefined, 'dropped'],
  ['no device in the listing (nft 1.0.6)', undefined, undefined, 'unknown'],
  ['no device in the listing, and told to be eth0', undefined, ['eth0'], 'dropped'],
  ['no device in the listing, and told to be lo', undefined, ['lo'], 'not dropped'],
];

for (const [name, dev, told, verdict] of DEVICES) {
  t.test(`an ingress chain that drops, of ${name}: ${verdict}`, async (t) => {
    const chain = prerouting([[DROP]], { hook: 'ingress', prio: 0, ...(dev === undefined ? {} : { dev }) });
    for (const family of ['netdev', 'inet']) {
      const texts = told ? { tableTexts: { [`${family} n`]: { dormant: false, devices: { base: told } } } } : {};
      t.equal(judgeNft(table(family, 'n', [chain]), IPV4, texts).verdict, verdict, family);
    }
  });
}

t.test('tables of families that an IP packet does not meet are left out', async (t) => {
  const items = [...table('bridge', 'b', [prerouting([[DROP]])]), ...table('arp', 'a', [prerouting([[DROP]])])];
  t.strictSame(parseRuleset({ nft: listing(items) }), []);
  t.equal(judgeNft(table('ip6', 't', [prerouting([[DROP]])]), IPV4).verdict, 'not dropped');
  t.strictSame(parseRuleset({}), []);
});

t.test("a text that is not nft's JSON throws a SyntaxError", async (t) => {
  for (const nft of ['no JSON', '[]', 'null', '{}', '{"nftables": 1}'])
    t.throws(() => parseRuleset({ nft }), SyntaxError);
});
