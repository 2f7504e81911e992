import t from 'tap';
import { IPV4, judgeLegacy, KNOWN, saved } from './ruleset-dumps.ts';

const USER = [':ONE - [0:0]'];
const DROP = '-A PREROUTING -m conntrack --ctstate INVALID -j DROP';

/** Rules of mangle, and the one without which the packet would be dropped. */
const CASES: [name: string, rules: string[], bypassing: string | undefined][] = [
  ['an ACCEPT before the drop', ['-A PREROUTING -j ACCEPT', DROP], '-A PREROUTING -j ACCEPT'],
  ['a goto before the drop', ['-A PREROUTING -g ONE', DROP], '-A PREROUTING -g ONE'],
  [
    'not a RETURN that does not matter',
    ['-A PREROUTING -j ONE', '-A ONE -j RETURN', '-A PREROUTING -j ACCEPT', DROP],
    '-A PREROUTING -j ACCEPT',
  ],
  [
    'the first of two that each let it pass',
    ['-A PREROUTING -i eth0 -j ACCEPT', '-A PREROUTING -j ACCEPT', DROP],
    '-A PREROUTING -i eth0 -j ACCEPT',
  ],
  [
    'a mark that the drop leaves alone',
    ['-A PREROUTING -j MARK --set-xmark 0x1/0xffffffff', '-A PREROUTING -m mark ! --mark 0x1 -j DROP'],
    '-A PREROUTING -j MARK --set-xmark 0x1/0xffffffff',
  ],
  [
    'an ACCEPT that an earlier table does not matter for',
    ['-A INPUT -j ACCEPT', '-A INPUT -j DROP', '-A PREROUTING -j ACCEPT'],
    '-A INPUT -j ACCEPT',
  ],
  ['nothing where nothing drops', ['-A PREROUTING -j ACCEPT'], undefined],
  ['nothing where the drop is for others', ['-A PREROUTING -j ACCEPT', '-A PREROUTING -p udp -j DROP'], undefined],
];

for (const [name, rules, bypassing] of CASES) {
  t.test(`the bypassing rule is ${name}`, async (t) => {
    const verdict = judgeLegacy(saved('mangle', ...USER, ...rules), KNOWN);
    t.equal(verdict.verdict, 'not dropped');
    t.equal(verdict.verdict === 'not dropped' ? verdict.by?.rule : 'none', bypassing);
  });
}

t.test('NOTRACK is named where it bypasses the drop of INVALID packets', async (t) => {
  const notrack = '-A PREROUTING -m mark --mark 0x0 -j CT --notrack';
  const verdict = judgeLegacy(saved('raw', notrack) + saved('mangle', DROP), { ...IPV4, mark: 0 });
  t.match(verdict, { verdict: 'not dropped', by: { table: 'ip raw', rule: notrack } });
});

t.test('the rule that answers with a reset is named', async (t) => {
  const verdict = judgeLegacy(saved('filter', '-A INPUT -p tcp -j REJECT --reject-with tcp-reset'));
  t.match(verdict, { by: { chain: 'INPUT' }, reason: 'answered with a TCP reset' });
});
