import t from 'tap';
import type { Json } from '../../../lib/netfilter/nft-expression.ts';
import {
  ACCEPT,
  ct,
  DROP,
  INVALID,
  IPV4,
  IPV6,
  judgeNft,
  KNOWN,
  mangle,
  match,
  meta,
  prerouting,
  saved,
  table,
} from './ruleset-dumps.ts';

const SET_MARK: Json[] = [mangle(meta('mark'), 1)];
const DROP_MARKED: Json[] = [match(meta('mark'), 1), DROP];
const RESET: Json[] = [{ reject: { type: 'tcp reset' } }];
const NOTRACK: Json[] = [{ notrack: null }];
const ZONE: Json[] = [mangle(ct('zone'), 1)];
const DROP_INVALID: Json[] = [INVALID, DROP];

/** Chains of tables of their own, by priority in prerouting. */
const CASES: [name: string, chains: [priority: number, rule: Json[]][], verdict: string][] = [
  [
    'a mark that is set earlier is seen',
    [
      [-160, SET_MARK],
      [-150, DROP_MARKED],
    ],
    'dropped',
  ],
  [
    'a mark that is set later is not',
    [
      [-140, SET_MARK],
      [-150, DROP_MARKED],
    ],
    'not dropped',
  ],
  [
    'a mark that is set at the same priority may be',
    [
      [-150, SET_MARK],
      [-150, DROP_MARKED],
    ],
    'unknown',
  ],
  [
    'a reset and a drop at one priority',
    [
      [-150, RESET],
      [-150, [DROP]],
    ],
    'unknown',
  ],
  [
    'a reset before a drop',
    [
      [-151, RESET],
      [-150, [DROP]],
    ],
    'not dropped',
  ],
  [
    'a drop before a reset',
    [
      [-149, RESET],
      [-150, [DROP]],
    ],
    'dropped',
  ],
  [
    'an accept and a drop at one priority',
    [
      [-150, [ACCEPT]],
      [-150, [DROP]],
    ],
    'dropped',
  ],
  [
    'an accept before a drop',
    [
      [-200, [ACCEPT]],
      [-150, [DROP]],
    ],
    'dropped',
  ],
  [
    'a queue and a drop at one priority',
    [
      [-150, [{ queue: {} }]],
      [-150, [DROP]],
    ],
    'unknown',
  ],
  ['notrack of all flows before conntrack, and nothing else', [[-300, NOTRACK]], 'dropped'],
  [
    'notrack by mark before a drop of INVALID',
    [
      [-300, [match(meta('mark'), 0), ...NOTRACK]],
      [-150, DROP_INVALID],
    ],
    'not dropped',
  ],
  [
    'notrack after conntrack, before a drop of INVALID',
    [
      [-160, NOTRACK],
      [-150, DROP_INVALID],
    ],
    'not dropped',
  ],
  [
    'notrack after a drop of INVALID',
    [
      [-140, NOTRACK],
      [-150, DROP_INVALID],
    ],
    'dropped',
  ],
  [
    'a zone before conntrack',
    [
      [-300, ZONE],
      [-150, DROP_INVALID],
    ],
    'dropped',
  ],
  [
    'a drop of INVALID between a zone and conntrack',
    [
      [-300, ZONE],
      [-250, DROP_INVALID],
    ],
    'unknown',
  ],
  [
    "a zone at conntrack's own priority",
    [
      [-200, ZONE],
      [-150, DROP_INVALID],
    ],
    'unknown',
  ],
  ['a drop of INVALID before conntrack', [[-250, DROP_INVALID]], 'dropped'],
];

/** Whom a reset meets is not told in a table of both families. */
const familyOf = (rule: Json[]) => (rule === RESET ? 'ip' : 'inet');

for (const [name, chains, verdict] of CASES) {
  t.test(`${name}: ${verdict}`, async (t) => {
    const tables = chains.map(([prio, rule], i) => table(familyOf(rule), `t${i}`, [prerouting([rule], { prio })]));
    t.equal(judgeNft(tables.flat(), KNOWN).verdict, verdict);
    t.equal(judgeNft(tables.toReversed().flat(), KNOWN).verdict, verdict, 'whatever the order of the listing');
  });
}

t.test('two chains of one table at one priority have no order either', async (t) => {
  const chains = [prerouting([SET_MARK]), prerouting([DROP_MARKED], { name: 'other' })];
  t.equal(judgeNft(table('inet', 't', chains), KNOWN).verdict, 'unknown');
});

t.test('more chains that change packets at one priority than can be permuted are given up', async (t) => {
  const items = [1, 2, 3, 4, 5].flatMap((i) => table('inet', `t${i}`, [prerouting([SET_MARK])]));
  t.match(judgeNft(items, KNOWN), { verdict: 'unknown', reason: '5 chains share one priority' });
  t.equal(judgeNft([...items, ...table('ip', 'd', [prerouting([[DROP]], { prio: -300 })])], KNOWN).verdict, 'dropped');
});

t.test('ingress comes before prerouting, and prerouting before input, whatever their priorities', async (t) => {
  const chains = (first: string, second: string): Json[] =>
    table('inet', 't', [
      prerouting([SET_MARK], { hook: first, prio: 300, dev: 'eth0' }),
      prerouting([DROP_MARKED], { name: 'other', hook: second, prio: -300, dev: 'eth0' }),
    ]);
  t.equal(judgeNft(chains('ingress', 'prerouting'), KNOWN).verdict, 'dropped');
  t.equal(judgeNft(chains('prerouting', 'input'), KNOWN).verdict, 'dropped');
  t.equal(judgeNft(chains('input', 'prerouting'), KNOWN).verdict, 'not dropped');
});

t.test('hooks that an arriving packet for this host does not pass are left out', async (t) => {
  for (const hook of ['forward', 'output', 'postrouting', 'egress']) {
    t.equal(judgeNft(table('inet', 't', [prerouting([[DROP]], { hook, dev: 'eth0' })])).verdict, 'not dropped', hook);
  }
});

t.test('a table of one family is not met by the other', async (t) => {
  t.equal(judgeNft(table('ip', 't', [prerouting([[DROP]])]), IPV6).verdict, 'not dropped');
  t.equal(judgeNft(table('ip6', 't', [prerouting([[DROP]])]), IPV6).verdict, 'dropped');
  t.equal(judgeNft(table('inet', 't', [prerouting([[DROP]])]), IPV6).verdict, 'dropped');
});

t.test('legacy and nft chains at one priority have no order', async (t) => {
  const legacySave = { ipv4: saved('mangle', '-A PREROUTING -j MARK --set-xmark 0x1/0xffffffff') };
  t.equal(judgeNft(table('inet', 't', [prerouting([DROP_MARKED])]), KNOWN, { legacySave }).verdict, 'unknown');
  t.equal(
    judgeNft(table('inet', 't', [prerouting([DROP_MARKED], { prio: -149 })]), KNOWN, { legacySave }).verdict,
    'dropped',
  );
});

t.test('a chain of type nat is passed by', async (t) => {
  t.equal(judgeNft(table('inet', 't', [prerouting([[DROP]], { type: 'nat' })]), IPV4).verdict, 'not dropped');
});
