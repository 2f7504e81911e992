import t from 'tap';
import { answer, CASES } from '../../../init-image/explain/answer.ts';
import { answerData, answerText } from '../../../init-image/explain/answer-text.ts';
import type { EvidenceSample } from '../../../init-image/explain/evidence.ts';
import type { StrayEvidence } from '../../../init-image/explain/stray-evidence.ts';
import { RULE } from '../../../lib/netfilter/drop-rule.ts';
import { redirectRules, tproxyRules } from '../../harness/netns/istio-rules.ts';
import { mangle } from '../../lib/netfilter/made-checks.ts';
import { saved } from '../../lib/netfilter/ruleset-dumps.ts';
import { asSaved, exemptRulesOf, liberal, RESCUING, rulesOf, samples } from './made-evidence.ts';

const MESH = asSaved(redirectRules('ipv4'));
/** The rule has counted as many packets in each family. */
const guarded = (packets: number) => exemptRulesOf(`${MESH}${mangle(`[${packets}:${packets * 100}] ${RULE.tcp}`)}`);
const OPEN = rulesOf(MESH);
const UNSURE = rulesOf(`${MESH}${mangle(`-m owner --uid-owner 1 -j ACCEPT`, RULE.tcp)}`);
const UNREADABLE = { unreadable: 'COMMAND_FAILED: Operation not permitted' };
const BOTH = { conntrackInvalid: 20, outRsts: 3, estabResets: 3 };

const wordAndCode = (...pair: [EvidenceSample, EvidenceSample]) => {
  const { answer: word, code } = answer(...pair);
  return `${word}: ${code}`;
};

t.test('INVALID packets that a rule dropped are resets prevented', async (t) => {
  const pair = samples({ conntrackInvalid: 20 }, guarded(27), guarded(7));
  t.equal(wordAndCode(...pair), 'prevented: dropped');
  t.match(answer(...pair).why, /40 INVALID packets were dropped/);
});

const noted = (sourcePort: number, segments: number) => ({
  ...{ source: '10.0.0.1', sourcePort, destination: '10.0.0.2', destinationPort: 9000, segments },
});

t.test('a rule that drops while nothing rescues is never called prevention', async (t) => {
  const alone = (packets: number) => rulesOf(`${MESH}${mangle(`[${packets}:${packets * 100}] ${RULE.tcp}`)}`);
  const none = { connections: null, rescue: null };
  t.equal(
    wordAndCode(...samples({ conntrackInvalid: 9 }, alone(9), alone(0), [none, none])),
    'cannot tell: dropped-not-rescued',
  );
  t.equal(wordAndCode(...samples({}, alone(9), alone(9), [none, none])), 'cannot tell: dropped-not-rescued');
  const disabled = { connections: [], rescue: { state: 'disabled', rescued: 0, failed: 0, persistent: 0 } };
  const pair = samples({ conntrackInvalid: 9 }, guarded(9), guarded(0), [disabled, disabled]);
  t.equal(wordAndCode(...pair), 'cannot tell: dropped-not-rescued');
  const failing = { connections: [], rescue: { state: 'enabled', rescued: 0, failed: 2, persistent: 0 } };
  const failed = samples({ conntrackInvalid: 9 }, guarded(9), guarded(0), [RESCUING, failing]);
  t.equal(wordAndCode(...failed), 'cannot tell: dropped-not-rescued');
});

t.test('a connection whose segments go on being INVALID hangs, and its peer is named', async (t) => {
  const rescue = { state: 'disabled', rescued: 0, failed: 0, persistent: 0 };
  const grown = (extra: number, told = rescue) => {
    const strays = [3, 3 + extra].map((segments) => ({ rescue: told, connections: [noted(1, segments)] }));
    return samples({ conntrackInvalid: 9 }, guarded(9), guarded(0), strays as [StrayEvidence, StrayEvidence]);
  };
  t.match(answer(...grown(2)), { answer: 'suspected', code: 'hanging', why: /10\.0\.0\.1:1 to 10\.0\.0\.2:9000/ });
  t.equal(wordAndCode(...grown(0)), 'cannot tell: dropped-not-rescued');
  const rescued = grown(2, { ...rescue, state: 'enabled', rescued: 1 });
  t.equal(wordAndCode(...rescued), 'prevented: dropped', 'segments may come before it is rescued');
  t.equal(wordAndCode(...grown(2, { ...rescue, state: 'enabled', persistent: 1 })), 'suspected: hanging');
  const text = answerText(answer(...rescued), ...rescued);
  t.match(text, /stray segments +5 from 10\.0\.0\.1:1 to port 9000, in the last minute\n/);
  t.match(text, /rescue +enabled, 1 rescued, 0 failed\n/);
});

t.test('resets sent while packets were dropped had another cause', async (t) => {
  t.match(
    answer(...samples(BOTH, guarded(20), guarded(0))).why,
    /The 3 resets sent during the watch had another cause/,
  );
});

t.test('INVALID packets and resets that grow together in an open pod are suspected', async (t) => {
  const found = answer(...samples(BOTH, OPEN));
  t.match(found, {
    answer: 'suspected',
    code: 'invalid-and-resets',
    why: /: ipv4 on eth0, ipv4 on lo, ipv6 on eth0, ipv6 on lo: no rule drops INVALID TCP packets\.$/,
  });
  t.match(answer(...samples({ conntrackInvalid: 1, outRsts: 30 }, OPEN)).why, /At most 1 of the resets/);
});

t.test('resets that a guarded pod sends are not this', async (t) => {
  t.equal(wordAndCode(...samples({ outRsts: 1 }, guarded(5))), 'not this: guarded-resets');
});

t.test('resets without an INVALID packet are not this, with any rules', async (t) => {
  for (const rules of [OPEN, UNSURE]) {
    t.equal(wordAndCode(...samples({ outRsts: 4 }, rules)), 'not this: resets-without-invalid');
  }
});

t.test('connections that the peer reset are not this', async (t) => {
  t.equal(wordAndCode(...samples({ estabResets: 2, conntrackInvalid: 5 }, OPEN)), 'not this: no-resets-sent');
});

t.test('INVALID packets without a reset are not this, and the advice is to guard the pod', async (t) => {
  const found = answer(...samples({ conntrackInvalid: 5 }, OPEN));
  t.match(found, { answer: 'not this', code: 'invalid-without-resets' });
  t.match(found.advice.join(' '), /Guard the pod/);
});

t.test('without any event the answer is only what the rule dropped earlier', async (t) => {
  t.equal(wordAndCode(...samples({}, OPEN)), 'cannot tell: nothing-happened');
  t.equal(wordAndCode(...samples({}, guarded(0))), 'cannot tell: nothing-happened');
  t.equal(wordAndCode(...samples({}, guarded(59))), 'prevented: dropped-earlier');
});

t.test('a rule that cannot be judged makes "cannot tell" only if packets were INVALID', async (t) => {
  t.match(answer(...samples(BOTH, UNSURE)), { answer: 'cannot tell', code: 'ruleset-not-judged', why: /owner/ });
});

t.test('a pod whose conntrack is liberal is protected also without the rule', async (t) => {
  const of = (...grown: Parameters<typeof samples>) => liberal(samples(...grown));
  const both = of(BOTH, OPEN);
  t.match(answer(...both), {
    answer: 'cannot tell',
    code: 'liberal-conntrack',
    why: /20 packets were INVALID for another/,
  });
  t.match(answerText(answer(...both), ...both), /tcp_be_liberal +1 \(segments outside the window are not INVALID\)/);
  const quiet = answer(...of({ conntrackInvalid: 5 }, OPEN));
  t.match(quiet, {
    answer: 'not this',
    code: 'liberal-without-resets',
    why: /protected from them also without the rule/,
  });
  t.notMatch(quiet.advice.join(' '), /Guard the pod/);
  t.match(answer(...of({ outRsts: 4 }, OPEN)), { code: 'resets-without-invalid', why: /also without the rule\.$/ });
  t.match(answer(...of({}, OPEN)), {
    answer: 'cannot tell',
    code: 'nothing-happened',
    why: /also without the rule\.$/,
  });
  t.equal(wordAndCode(...of(BOTH, rulesOf(mangle()))), 'not this: no-redirect');
  t.equal(wordAndCode(...of(BOTH, guarded(20), guarded(0))), 'prevented: dropped', 'a guarded pod is told as before');
  t.notMatch(answer(...of({}, guarded(0))).why, /liberal/);
  const set = liberal(samples(BOTH, OPEN), 'second');
  t.equal(wordAndCode(...set), 'suspected: invalid-and-resets', 'it was set during the watch');
});

t.test('no connection hangs where conntrack is liberal, so a rule without a rescue is prevention there', async (t) => {
  const alone = (packets: number) => rulesOf(`${MESH}${mangle(`[${packets}:${packets * 100}] ${RULE.tcp}`)}`);
  const none = { connections: null, rescue: null };
  const pair = samples({ conntrackInvalid: 9 }, alone(9), alone(0), [none, none]);
  t.equal(wordAndCode(...liberal(pair)), 'prevented: dropped');
});

t.test('a pod without a redirect is not exposed', async (t) => {
  t.equal(wordAndCode(...samples(BOTH, rulesOf(mangle()))), 'not this: no-redirect');
});

t.test('under TPROXY, which needs no NAT, INVALID packets and resets together prove nothing', async (t) => {
  t.equal(wordAndCode(...samples(BOTH, rulesOf(asSaved(tproxyRules('ipv4'))))), 'cannot tell: tproxy');
});

t.test('an unknown redirect makes "cannot tell"', async (t) => {
  const unclear = rulesOf(saved('nat', '-A PREROUTING -p tcp -j STRANGE'));
  t.equal(wordAndCode(...samples(BOTH, unclear)), 'cannot tell: redirect-not-known');
});

t.test('a match before the mesh that nobody can decide is no reason not to suspect', async (t) => {
  const mesh = asSaved(redirectRules('ipv4'));
  for (const rule of ['-m owner -j RETURN', '-m strange -j STRANGE', '-m statistic --mode random -j ACCEPT']) {
    const found = answer(...samples(BOTH, rulesOf(mesh.replace('-A PREROUTING', `-A PREROUTING ${rule}\n$&`))));
    t.match(found, { answer: 'suspected', code: 'invalid-and-resets' }, rule);
  }
});

t.test('a rule against spoofed addresses is no reason not to suspect', async (t) => {
  const mesh = asSaved(redirectRules('ipv4'));
  const spoofed = [
    '-s 10.0.0.9/32',
    '-d 10.0.0.9/32',
    '-i eth0 ! -d 10.77.0.2/32',
    '! -s 10.0.0.0/8',
    '-i eth0 -s 127.0.0.0/8',
  ];
  for (const match of spoofed) {
    const rules = rulesOf(mesh + saved('mangle', `-A PREROUTING ${match} -j DROP`));
    t.equal(rules.result, 'not guarded', match);
    t.equal(wordAndCode(...samples(BOTH, rules)), 'suspected: invalid-and-resets', match);
  }
});

t.test('a rule without a counter beside one that counts does not hide what was dropped', async (t) => {
  const uncounted = (packets: number) =>
    exemptRulesOf(mangle('-i lo -p tcp -m conntrack --ctstate INVALID -j DROP', `[${packets}:9] ${RULE.tcp}`));
  t.equal(wordAndCode(...samples({ conntrackInvalid: 1 }, uncounted(2), uncounted(1))), 'prevented: dropped');
});

t.test('a pod that was open in one of the samples is open', async (t) => {
  t.equal(wordAndCode(...samples(BOTH, guarded(0), OPEN)), 'suspected: invalid-and-resets');
  t.equal(wordAndCode(...samples(BOTH, OPEN, guarded(0))), 'suspected: invalid-and-resets');
});

t.test('unreadable rules make "cannot tell", with the reason', async (t) => {
  const found = answer(...samples(BOTH, UNREADABLE));
  t.match(found, { answer: 'cannot tell', code: 'rules-unreadable', why: /Operation not permitted/ });
  t.match(found.advice.join(' '), /CAP_NET_ADMIN/);
  t.equal(wordAndCode(...samples(BOTH, OPEN, UNREADABLE)), 'cannot tell: rules-unreadable');
});

t.test('counters that are absent, or were reset, make "cannot tell"', async (t) => {
  for (const name of ['outRsts', 'conntrackInvalid'] as const) {
    const absent = samples(BOTH, OPEN);
    for (const { counters } of absent) counters[name] = null;
    t.equal(wordAndCode({ ...absent[0] }, absent[1]), 'cannot tell: counters-missing', name);
    const [before, after] = samples({ [name]: -5 }, OPEN);
    t.equal(wordAndCode(before, after), 'cannot tell: counters-missing', name);
  }
});

t.test('every answer warns that pods on other nodes may be exposed', async (t) => {
  for (const pair of [samples(BOTH, OPEN), samples({}, guarded(0)), samples(BOTH, UNREADABLE)]) {
    t.match(answer(...pair).advice.at(-1), /other nodes/);
  }
});

t.test('codes of cases are all different', async (t) => {
  t.equal(new Set(CASES.map(({ code }) => code)).size, CASES.length);
});

t.test('the text has the answer first, and the evidence with its totals', async (t) => {
  const pair = samples({ conntrackInvalid: 20 }, guarded(27), guarded(7));
  const text = answerText(answer(...pair), ...pair);
  t.match(text, /^Was it this\? Prevented\.\n {2}why /);
  t.match(text, /INVALID packets +\+20 \(120 in all\)/);
  t.match(text, /drop rule +invalid-drop: ip mangle PREROUTING, \+20 \(27 in all\)/);
  t.match(text, /mesh, ipv4 +REDIRECT to 15006 \(Istio\); ports redirected: all but 15008, 15020-15021, 15090, 15099/);
});

t.test('the text says why rules cannot be read, and which counters are unknown', async (t) => {
  const pair = samples({ outRsts: -1 }, UNREADABLE);
  pair[1].counters.conntrackInvalid = null;
  const text = answerText(answer(...pair), ...pair);
  t.match(text, /rules +cannot be read: COMMAND_FAILED/);
  t.match(text, /INVALID packets +not known/);
  t.match(text, /resets sent +counter was reset, now 99/);
});

t.test('the data for machines has the word, the code, both samples and the ports as text', async (t) => {
  const pair = samples(BOTH, OPEN);
  const data = answerData(answer(...pair), ...pair);
  t.match(data, { answer: 'suspected', seconds: 10, before: { outRsts: 100 }, after: { outRsts: 103 } });
  t.match(data.rules, { result: 'not guarded', mesh: { ipv4: { mode: 'REDIRECT', excluded: /15099/ } } });
  t.same(answerData(answer(...samples(BOTH, UNREADABLE)), ...samples(BOTH, UNREADABLE)).rules, UNREADABLE);
});

t.test('a comment of a rule is printed escaped', async (t) => {
  const accepts = '-m comment --comment "x\u001b[2J\u009b1Ay" -m owner --uid-owner 1 -j ACCEPT';
  const pair = samples(BOTH, rulesOf(`${MESH}${mangle(accepts, RULE.tcp)}`));
  const text = answerText(answer(...pair), ...pair);
  t.match(text, 'x\\u001b[2J\\u009b1Ay');
  t.notMatch(text.replaceAll('\n', ''), /\p{Cc}/u);
});
