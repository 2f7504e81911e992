import t from 'tap';
import { IPV4, judgeLegacy, KNOWN, saved } from './ruleset-dumps.ts';

const USER = [':ONE - [0:0]', ':TWO - [0:0]'];
const DROP = '-A PREROUTING -j DROP';

/** Ways through user chains of mangle, each before a drop at the end of PREROUTING. */
const CASES: [name: string, rules: string[], verdict: string][] = [
  ['a jump into an empty chain comes back', ['-A PREROUTING -j ONE'], 'dropped'],
  ['a RETURN in a user chain comes back to the jump', ['-A PREROUTING -j ONE', '-A ONE -j RETURN'], 'dropped'],
  ['an ACCEPT in a user chain ends the whole table', ['-A PREROUTING -j ONE', '-A ONE -j ACCEPT'], 'not dropped'],
  ['a goto does not come back', ['-A PREROUTING -g ONE'], 'not dropped'],
  ['a goto into a chain that returns does not come back', ['-A PREROUTING -g ONE', '-A ONE -j RETURN'], 'not dropped'],
  ['a goto in a user chain comes back to the jump before it', ['-A PREROUTING -j ONE', '-A ONE -g TWO'], 'dropped'],
  [
    'a goto passes by what follows it in its chain',
    ['-A PREROUTING -j ONE', '-A ONE -g TWO', '-A ONE -j ACCEPT'],
    'dropped',
  ],
  [
    'a RETURN passes by what follows it in its chain',
    ['-A PREROUTING -j ONE', '-A ONE -j RETURN', '-A ONE -j ACCEPT'],
    'dropped',
  ],
  ['a jump within a jump', ['-A PREROUTING -j ONE', '-A ONE -j TWO', '-A TWO -j ACCEPT'], 'not dropped'],
  ['a jump that may be taken to an ACCEPT', ['-A PREROUTING -m socket -j ONE', '-A ONE -j ACCEPT'], 'unknown'],
  ['a jump that may be taken and comes back', ['-A PREROUTING -m socket -j ONE', '-A ONE -j RETURN'], 'dropped'],
  ['a goto that may be taken', ['-A PREROUTING -m socket -g ONE'], 'unknown'],
  ['a loop is given up', ['-A PREROUTING -j ONE', '-A ONE -j TWO', '-A TWO -j ONE'], 'unknown'],
  ['a loop that branches is given up', ['-A PREROUTING -j ONE', '-A ONE -j ONE', '-A ONE -j ONE'], 'unknown'],
];

for (const [name, rules, verdict] of CASES) {
  t.test(`${name}: ${verdict}`, async (t) => {
    t.equal(judgeLegacy(saved('mangle', ...USER, ...rules, DROP)).verdict, verdict);
  });
}

t.test('a policy counts for what returns from a base chain, not for what was accepted', async (t) => {
  const policy = ':PREROUTING DROP [0:0]';
  t.equal(judgeLegacy(saved('mangle', policy, '-A PREROUTING -j RETURN')).verdict, 'dropped');
  t.equal(judgeLegacy(saved('mangle', policy, ...USER, '-A PREROUTING -g ONE')).verdict, 'dropped');
  t.equal(judgeLegacy(saved('mangle', policy, '-A PREROUTING -j ACCEPT')).verdict, 'not dropped');
});

t.test('an ACCEPT ends one table only: a later one may still drop', async (t) => {
  const accept = saved('mangle', '-A PREROUTING -j ACCEPT');
  t.equal(judgeLegacy(accept + saved('filter', '-A INPUT -j DROP')).verdict, 'dropped');
  t.equal(judgeLegacy(accept + saved('security', '-A INPUT -j DROP')).verdict, 'dropped');
  t.equal(judgeLegacy(accept + saved('filter', '-A FORWARD -j DROP')).verdict, 'not dropped');
});

t.test('what happens before conntrack reads INVALID too', async (t) => {
  t.equal(judgeLegacy(saved('raw', '-A PREROUTING -m conntrack --ctstate INVALID -j DROP')).verdict, 'dropped');
});

t.test('all rules that may drop are named', async (t) => {
  const rules = ['-A PREROUTING -m socket -j DROP', '-A PREROUTING -p tcp -j DROP', DROP];
  const verdict = judgeLegacy(saved('mangle', ...rules));
  t.match(verdict, { verdict: 'dropped', by: [{ rule: rules[0] }, { rule: rules[1] }] });
});

t.test('unknown says what it depends on', async (t) => {
  const rules = ['-A PREROUTING -m socket -j ACCEPT', '-A PREROUTING -m u32 --u32 0=1 -j ACCEPT', DROP];
  const reason = 'depends on "-m socket" in rule "-A PREROUTING -m socket -j ACCEPT" and 1 more';
  t.strictSame(judgeLegacy(saved('mangle', ...rules)), { verdict: 'unknown', reason });
});

t.test('rules that give more paths than can be traversed make the verdict unknown, and soon', async (t) => {
  const marks = Array.from(
    { length: 32 },
    (_, i) => `-A PREROUTING -m socket -j MARK --xor-mark 0x${(2 ** i).toString(16)}`,
  );
  t.match(judgeLegacy(saved('mangle', ...marks, DROP), { ...IPV4, mark: 0 }), { reason: /too many paths/ });
  const names = Array.from({ length: 30 }, (_, i) => `C${i}`);
  const jumps = names.slice(1).flatMap((name, i) => [`-A C${i} -j ${name}`, `-A C${i} -j ${name}`]);
  const chains = names.map((name) => `:${name} - [0:0]`);
  t.match(judgeLegacy(saved('mangle', ...chains, ...jumps, '-A PREROUTING -j C0', DROP)), { reason: /too many paths/ });
});

t.test('a whole description of the packet decides what a part of it cannot', async (t) => {
  const rules = ['-A PREROUTING -s 10.77.0.9/32 -j ACCEPT', '-A PREROUTING -p tcp -m tcp --dport 22 -j ACCEPT', DROP];
  const ofMark = ['-A PREROUTING -m mark --mark 0x1 -j ACCEPT', ...rules.slice(-1)];
  t.equal(judgeLegacy(saved('mangle', ...ofMark), IPV4).verdict, 'unknown');
  t.equal(judgeLegacy(saved('mangle', ...ofMark), KNOWN).verdict, 'dropped');
  t.equal(judgeLegacy(saved('mangle', ...rules), IPV4).verdict, 'not dropped');
  t.equal(judgeLegacy(saved('mangle', ...rules), KNOWN).verdict, 'dropped');
});
