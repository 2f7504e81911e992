import t from 'tap';
import { findEscape } from '../../../lib/netfilter/escaping-packet.ts';
import { evaluate } from '../../../lib/netfilter/evaluator.ts';
import type { Json } from '../../../lib/netfilter/nft-expression.ts';
import type { Packet } from '../../../lib/netfilter/packet.ts';
import { parseRuleset } from '../../../lib/netfilter/ruleset.ts';
import { judge } from '../../../lib/netfilter/verdict.ts';
import { makePrng, type Prng } from '../../harness/random-rulesets/prng.ts';
import { randomIptables } from '../../harness/random-rulesets/random-iptables.ts';
import {
  ACCEPT,
  DROP,
  INVALID,
  IPV4,
  judgeNft,
  KNOWN,
  KNOWN6,
  listing,
  match,
  meta,
  payload,
  prerouting,
  saved,
  table,
} from './ruleset-dumps.ts';

const SEED = Number(process.env['SEED'] || Date.now() % 1_000_000_000);
const RUNS = 500;
const UNCONDITIONAL = '-A PREROUTING -p tcp -m conntrack --ctstate INVALID -j DROP';

/** Calls the body with repeatable randomness; a failure names its seed. */
function forAll(name: string, body: (random: Prng) => void): void {
  t.test(`${name} (SEED=${SEED})`, async (t) => {
    for (let i = 0; i < RUNS; i++) {
      try {
        body(makePrng(SEED + i));
      } catch (error) {
        t.fail(`seed ${SEED + i}: ${(error as Error).stack}`);
        return;
      }
    }
    t.pass(`${RUNS} runs`);
  });
}

function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

const WORDS = [
  '*mangle',
  '*filter',
  ':PREROUTING ACCEPT [0:0]',
  ':A - [0:0]',
  '-A PREROUTING',
  '-A A',
  '-j',
  '-g',
  '-m',
  '!',
  '"',
  '\\',
  '-p',
  'tcp',
];
const MORE = [
  'conntrack',
  '--ctstate',
  'INVALID',
  'DROP',
  'ACCEPT',
  'A',
  '\n',
  '\n',
  '[1:2]',
  '--comment',
  '-s',
  '10.0.0.0/8',
  'mark',
  '--mark',
  '0x1/0x2',
  '#',
];

function randomText(random: Prng): string {
  return random.some(0, 60, () => random.pick([...WORDS, ...MORE])).join(random.pick([' ', ' ', '']));
}

forAll('any text at all is parsed and judged without an error', (random) => {
  const text = randomText(random);
  for (const packet of [IPV4, KNOWN, KNOWN6]) judge(parseRuleset({ legacySave: { ipv4: text, ipv6: text } }), packet);
});

/** A copy of the value in which some parts are replaced by others of the same listing. */
function mutate(random: Prng, value: Json, parts: Json[]): Json {
  if (random.chance(0.05)) return random.pick(parts);
  if (Array.isArray(value)) return value.map((item) => mutate(random, item, parts));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mutate(random, item, parts)]));
}

forAll('rules of nft in any shape are parsed and judged without an error', (random) => {
  const flags = payload('tcp', 'flags');
  const vmap: Json = {
    vmap: {
      key: meta('mark'),
      data: {
        set: [
          [1, DROP],
          ['*', ACCEPT],
        ],
      },
    },
  };
  const rule = [
    match({ '&': [flags, ['syn', 'ack']] }, 'syn'),
    match(meta('iifname'), { set: ['lo', 'e*'] }),
    vmap,
    INVALID,
  ];
  const parts: Json[] = [
    null,
    0,
    'x',
    '@x',
    [],
    {},
    true,
    DROP,
    flags,
    { set: [1, 'x'] },
    { prefix: { addr: 'x', len: 99 } },
    { range: [1] },
  ];
  const rules = random.some(1, 4, () => rule.map((statement) => mutate(random, statement, parts)));
  judgeNft(table('inet', 't', [prerouting(rules)]), random.pick([IPV4, KNOWN, KNOWN6]));
});

forAll(
  'an unconditional drop of INVALID packets at position 1 of mangle drops, unless raw meddles with them',
  (random) => {
    const [family, packet] = random.pick([
      ['ipv4', KNOWN],
      ['ipv6', KNOWN6],
    ] as const);
    const tables = randomIptables(random, family)
      .split(/^(?=\*)/m)
      .filter((text) => !/^\*(raw|mangle)/.test(text));
    const mangle =
      randomIptables(random, family)
        .split(/^(?=\*)/m)
        .find((text) => text.startsWith('*mangle')) ?? saved('mangle');
    const guarded = mangle.replace(/^(?=-A|COMMIT)/m, `${UNCONDITIONAL}\n`);
    const { verdict } = judge(parseRuleset({ legacySave: { [family]: tables.join('') + guarded } }), {
      ...packet,
      iif: 'lo',
    });
    must(verdict === 'dropped', `${verdict}: ${guarded}`);
  },
);

forAll('where all packets that are known in part are dropped, so is each that is known in full', (random) => {
  const [family, packet] = random.pick([
    ['ipv4', KNOWN],
    ['ipv6', KNOWN6],
  ] as const);
  const ruleset = parseRuleset({ legacySave: { [family]: randomIptables(random, family) } });
  const full = judge(ruleset, packet).verdict;
  const part = judge(ruleset, { ctstate: 'invalid', family, iif: packet.iif }).verdict;
  must(part !== 'dropped' || full === part, `known in part is ${part}, in full ${full}`);
});

forAll('where a packet escapes of those that are known in part, it escapes', (random) => {
  const [family, packet] = random.pick([
    ['ipv4', KNOWN],
    ['ipv6', KNOWN6],
  ] as const);
  const ruleset = parseRuleset({ legacySave: { [family]: randomIptables(random, family) } });
  const { iif, destination = '' } = packet;
  const part: Packet = { ctstate: 'invalid', family, iif, mark: 0, localAddresses: [destination] };
  const found = findEscape(ruleset, part, evaluate(ruleset, part), () => true);
  if (!found) return;
  const full = judge(ruleset, { ...packet, flags: 0x10, ...found.packet });
  must(
    full.verdict === 'not dropped' || (full.verdict === 'dropped' && full.by.length === 0),
    `${JSON.stringify(found.packet)}: ${full.verdict}`,
  );
});

forAll('a rule that cannot match changes nothing', (random) => {
  const text = randomIptables(random, 'ipv4');
  const verdictOf = (legacy: string) => judge(parseRuleset({ legacySave: { ipv4: legacy } }), KNOWN).verdict;
  const more = text.replace(
    /^(-A (?:PREROUTING|INPUT) .*)$/gm,
    (line) => `${line.split(' ').slice(0, 2).join(' ')} -p udp -j DROP\n${line}`,
  );
  must(verdictOf(text) === verdictOf(more), more);
});

t.test('a listing without rules lets everything pass', async (t) => {
  t.equal(judge(parseRuleset({ nft: listing() }), IPV4).verdict, 'not dropped');
});
