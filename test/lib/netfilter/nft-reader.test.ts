import { readFileSync } from 'node:fs';
import t from 'tap';
import type { RunCommand } from '../../../lib/command.ts';
import { ownNamespace } from '../../../lib/netfilter/namespace-access.ts';
import type { Json } from '../../../lib/netfilter/nft-expression.ts';
import { neededListings, parseNft, withCountersOf } from '../../../lib/netfilter/nft-json.ts';
import { parseRuleset } from '../../../lib/netfilter/ruleset.ts';
import { makeRulesetReader, readNft, withoutCounters } from '../../../lib/netfilter/ruleset-reader.ts';
import { judge } from '../../../lib/netfilter/verdict.ts';
import { KNOWN, listing } from './ruleset-dumps.ts';

const WHOLE = '{"nftables": [{"metainfo": {"version": "1.0.6"}}]}\n';
/** What nft before 1.0.7 prints of a table with flags, now and then: it ends with exit code 0 all the same. */
const CUT = '{"nftables": [{"metainfo": {"version": "1.0.6"}}, {"table": {"family": "ip", "name": "t", "flags": \n';

/** Reads from a nft that prints one of the texts after the other, and then the last of them for good. */
function readFrom(...texts: string[]) {
  const run = async (program: string) => {
    if (program !== 'nft') throw new Error('no other program is needed');
    return { exitCode: 0, stdout: texts.length > 1 ? (texts.shift() ?? '') : (texts[0] ?? ''), stderr: '' };
  };
  return readNft(run, 1000);
}

const readerOf = (run: RunCommand) => makeRulesetReader(1000, { ...ownNamespace, run });

t.test('a listing that was cut is read again', async (t) => {
  t.equal((await readFrom(CUT, CUT, WHOLE))?.listing, WHOLE);
});

t.test('a listing that is cut each time is an error that shows its end', async (t) => {
  await t.rejects(readFrom(CUT), { code: 'NFT_UNREADABLE', message: /"name": "t", "flags":"\).*before 1\.0\.7/ });
});

/** What `nft -j -t list ruleset` (1.0.6) prints of sets and maps. */
const SETS = `{"nftables": [
{"table": {"family": "inet", "name": "t", "handle": 1}},
{"set": {"family": "inet", "name": "ports", "table": "t", "type": "inet_service", "handle": 2, "flags": ["interval"]}},
{"set": {"family": "inet", "name": "unused", "table": "t", "type": "inet_service", "handle": 3}},
{"set": {"family": "inet", "name": "blocked", "table": "t", "type": "ipv4_addr", "handle": 4}},
{"set": {"family": "inet", "name": "pairs", "table": "t", "type": ["ipv4_addr", "inet_service"], "handle": 5}},
{"map": {"family": "inet", "name": "decide", "table": "t", "type": "inet_service", "handle": 6, "map": "verdict"}},
{"chain": {"family": "inet", "table": "t", "name": "c", "handle": 7, "type": "filter", "hook": "prerouting", "prio": 0, "policy": "accept"}},
{"rule": {"family": "inet", "table": "t", "chain": "c", "expr": [{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": "@ports"}}, {"drop": null}]}},
{"rule": {"family": "inet", "table": "t", "chain": "c", "expr": [{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "@blocked"}}, {"drop": null}]}},
{"rule": {"family": "inet", "table": "t", "chain": "c", "expr": [{"vmap": {"key": {"payload": {"protocol": "tcp", "field": "dport"}}, "data": "@decide"}}]}},
{"set": {"family": "inet", "name": "redirected", "table": "invalid-drop", "type": "inet_service", "handle": 2}},
{"set": {"family": "inet", "name": "listeners4", "table": "invalid-drop", "type": ["ipv4_addr", "inet_service"], "handle": 3}},
{"rule": {"family": "inet", "table": "invalid-drop", "chain": "stray", "expr": [{"match": {"op": "==", "left": null, "right": "@redirected"}}, {"match": {"right": "@listeners4"}}]}}
]}`;

t.test('of sets only the elements that a verdict needs are read', async (t) => {
  const needed = [
    ['set', 'inet', 't', 'ports'],
    ['map', 'inet', 't', 'decide'],
    ['table', 'inet', 'invalid-drop'],
  ];
  t.same(neededListings(SETS), needed);
  t.same(neededListings(WHOLE), []);
});

t.test('a set whose elements were not read is not taken for an empty one', async (t) => {
  const verdictOn = (source: string, ...elements: Json[]) => {
    const ports = { family: 'inet', name: 'ports', table: 't', type: 'inet_service', elem: elements };
    const setListings = [listing([{ set: ports }])];
    return judge(parseRuleset({ nft: SETS, setListings }), { ...KNOWN, source }).verdict;
  };
  t.equal(verdictOn('192.0.2.1', 9000), 'dropped');
  t.equal(verdictOn('192.0.2.1', 80), 'unknown', 'it may be blocked');
});

t.test('noted connections come and go, and no other program has to be run for them', async (t) => {
  const noting = (elements: string) =>
    `{"nftables": [{"set": {"family": "inet", "name": "strays4", "table": "invalid-drop", "timeout": 60, ${elements}"stmt": [{"counter": null}]}}, ` +
    '{"rule": {"expr": [{"xt": {"type": "match", "name": "conntrack"}}, {"counter": {"packets": 4, "bytes": 9}}]}}]}\n';
  const element = (port: number) =>
    `{"elem": {"val": {"concat": ["10.0.0.1", ${port}, "10.0.0.2", 80]}, "expires": 5${port}, "counter": {"packets": ${port}, "bytes": 0}}}`;
  const none = withoutCounters(noting(''));
  t.equal(withoutCounters(noting(`"elem": [${element(5)}], `)), none);
  t.equal(withoutCounters(noting(`"elem": [${element(6)}, ${element(7)}], `)), none);
  t.not(withoutCounters(noting('"elem": [{"concat": ["10.0.0.2", 80]}], ')), none, 'a listener counts');
});

t.test("while nothing is reported, the exemption's sets are not read again for a quarter of an hour", async (t) => {
  const clock = t.intercept(process, 'hrtime', { value: () => [Math.floor(time / 1000), (time % 1000) * 1e6] });
  let time = 1000;
  const listed: string[] = [];
  const read = readerOf(async (program, args) => {
    listed.push([program, ...args].join(' '));
    return { exitCode: 0, stdout: args.includes('-t') ? SETS : WHOLE, stderr: '' };
  });
  const asked = async (quiet: boolean) => {
    listed.length = 0;
    await read(quiet);
    return listed.filter((line) => /list (set|map|table)/.test(line)).map((line) => line.replace(/.* list /, ''));
  };
  const others = ['set inet t ports', 'map inet t decide'];
  const own = 'table inet invalid-drop';
  t.same(await asked(true), [...others, own], 'nothing is known yet');
  t.same(await asked(true), others, 'sets of others may be changed by packets too');
  t.same(await asked(false), [...others, own]);
  time += 899_999;
  t.same(await asked(true), others);
  time += 1;
  t.same(await asked(true), [...others, own]);
  clock.restore();
});

/** A base chain with a rule of which only iptables-nft-save tells more. */
const withXt = (family: string, type: string, hook: string) =>
  `{"chain": {"family": "${family}", "table": "${type}", "name": "C", "type": "${type}", "hook": "${hook}", "prio": 0}},
{"rule": {"family": "${family}", "table": "${type}", "chain": "C", "expr": [{"xt": {"type": "match", "name": "conntrack"}}]}}`;

t.test('iptables-nft-save is run only for families in which a verdict needs it', async (t) => {
  const programs = async (complete: boolean, ...items: string[]) => {
    const ran: string[] = [];
    const stdout = `{"nftables": [${items.join(',')}]}\n`;
    const run: RunCommand = async (program, args) => {
      ran.push(program === 'nft' ? args.slice(args.indexOf('list') + 1).join(' ') : program);
      return { exitCode: 0, stdout: program === 'nft' ? stdout : '', stderr: '' };
    };
    await readNft(run, 1000, undefined, false, undefined, complete);
    return ran;
  };
  const redirects = ['ip', 'ip6'].flatMap((family) => [
    withXt(family, 'nat', 'prerouting'),
    withXt(family, 'route', 'output'),
  ]);
  const both = ['iptables-nft-save', 'ip6tables-nft-save'];
  t.same(await programs(false, ...redirects), ['ruleset']);
  t.same(await programs(true, ...redirects), ['ruleset', ...both, 'ruleset']);
  const filter = withXt('ip', 'filter', 'input');
  t.same(await programs(false, ...redirects, filter), ['ruleset', 'iptables-nft-save', 'ruleset']);
  const native = '{"table": {"family": "ip6", "name": "mangle", "handle": 1}}';
  t.same(
    await programs(false, ...redirects, native),
    ['ruleset', 'ip6tables-nft-save', 'ruleset'],
    'whether it can read it',
  );
});

t.test('sets that were read between two equal listings are not read again', async (t) => {
  const ran: string[] = [];
  const xt = SETS.replace(
    '\n]}',
    `,\n${withXt('ip', 'filter', 'prerouting')},\n${withXt('ip6', 'filter', 'input')}\n]}`,
  );
  await readNft(async (program, args) => {
    ran.push(program === 'nft' ? args.slice(args.indexOf('list') + 1).join(' ') : program);
    const stdout = args.includes('-t') ? xt : program === 'nft' ? WHOLE : '';
    return { exitCode: 0, stdout, stderr: '' };
  }, 1000);
  const sets = ['set inet t ports', 'map inet t decide', 'table inet invalid-drop'];
  const once = ['iptables-nft-save', 'ip6tables-nft-save', ...sets];
  t.same(ran.toSorted(), ['ruleset', 'ruleset', ...once].toSorted());
  t.equal(ran[0], 'ruleset');
  t.equal(ran.at(-1), 'ruleset');
});

t.test('the shape of a ruleset changes with its rules and not with its counters', async (t) => {
  let [packets, port] = [1, 9000];
  const read = readerOf(async () => {
    const rule = `{"rule": {"family": "ip", "table": "t", "chain": "c", "handle": 2, "expr": [{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": ${port}}}, {"counter": {"packets": ${packets}, "bytes": 40}}, {"drop": null}]}}`;
    const chain =
      '{"table": {"family": "ip", "name": "t", "handle": 1}}, {"chain": {"family": "ip", "table": "t", "name": "c", "handle": 1}}';
    return { exitCode: 0, stdout: `{"nftables": [${chain}, ${rule}]}\n`, stderr: '' };
  });
  const first = await read();
  t.equal(await read(), first);
  packets = 2;
  const counted = await read();
  t.not(counted, first);
  t.equal(counted.shape, first.shape);
  t.equal(counted.ruleset[0]?.chains.get('c')?.rules[0]?.packets, 2);
  port = 9001;
  t.not((await read()).shape, first.shape);
});

t.test('a listing in which only counters have moved gives the same as one that is parsed anew', async (t) => {
  const items = JSON.parse(readFileSync(new URL('exemption-listing.json', import.meta.url), 'utf8'));
  const before = listing(items);
  let packets = 0;
  const after = before.replace(/"(packets|bytes)":\s*\d+/g, (_, name) => `"${name}": ${++packets}`);
  const ruleset = parseNft(before);
  const now = withCountersOf(ruleset, after);
  t.ok(packets > 3);
  t.same(now, parseNft(after));
  t.not(now, parseNft(before));
  t.equal(
    withCountersOf(now, after)[0]?.chains.get('stray'),
    now[0]?.chains.get('stray'),
    'what has not moved is kept',
  );
});
