import t from 'tap';
import { exemptionRule, exemptionTable, unlistedListeners } from '../../../lib/netfilter/exemption.ts';
import { lacksExemption, putTable, raisesAlarm, ruleInput } from '../../../lib/netfilter/exemption-installer.ts';
import type { LocalSockets } from '../../../lib/netfilter/local-sockets.ts';
import { parseRuleset } from '../../../lib/netfilter/ruleset.ts';
import { areStraysNoted, unguardedReasons, unsparedReasons } from '../../../lib/netfilter/ruleset-check.ts';
import { isNoted, judge, judgePass } from '../../../lib/netfilter/verdict.ts';
import { checkOf, EXEMPTION, exemptSnapshot, GUARDED, legacySnapshot, mangle, SOCKETS } from './made-checks.ts';
import { IPV4, IPV6, saved } from './ruleset-dumps.ts';

const LISTENER = { address: '10.0.0.2', port: 9000 };
const withListeners = (...ipv4: LocalSockets['listeners']['ipv4']): LocalSockets => ({
  ...SOCKETS,
  listeners: { ipv4, ipv6: [] },
});
const OWN = { ...IPV4, socket: 'own' } as const;

t.test(
  'the rule alone drops what has a socket of its own; with the exemption it passes, and the rest is dropped',
  async (t) => {
    const alone = legacySnapshot(GUARDED).ruleset;
    t.match(judgePass(alone, OWN), { holds: 'no', reason: /dropped by "-A PREROUTING -p tcp .* -j DROP"/ });
    const { ruleset } = exemptSnapshot(GUARDED);
    for (const packet of [IPV4, IPV6, { ...IPV4, iif: 'lo' }]) {
      t.same(judgePass(ruleset, { ...packet, socket: 'own' }), { holds: 'yes' });
      t.equal(judge(ruleset, { ...packet, socket: 'none' }).verdict, 'dropped');
    }
  },
);

t.test('a listener on a specific address is told by the set of listeners', async (t) => {
  const { ruleset } = exemptSnapshot(GUARDED);
  const at = (destination: string, destinationPort: number) =>
    judge(ruleset, { ...IPV4, socket: 'listener', destination, destinationPort }).verdict;
  t.equal(at('10.0.0.2', 9000), 'dropped');
  t.equal(at('10.0.0.2', 9001), 'not dropped');
  t.equal(at('10.0.0.3', 9000), 'not dropped');
});

t.test('a rule that looks up what the set lacks is not taken for one that looks up what it has', async (t) => {
  // All of the listing is in rules of this form.
  const nft = EXEMPTION.replaceAll(/"op": "=="(?=[^@]*"@listeners)/g, '"op": "!="');
  const ruleset = parseRuleset({ nft, legacySave: { ipv4: GUARDED } });
  const packet = { ...IPV4, socket: 'listener', destination: '10.0.0.2', destinationPort: 9000 } as const;
  t.equal(judge(ruleset, packet).verdict, 'unknown');
});

t.test('a rule that deletes from the set of stray segments notes nothing', async (t) => {
  const { ruleset } = exemptSnapshot(GUARDED);
  t.equal(isNoted(ruleset, { ...IPV4, socket: 'none' }), true);
  const deleting = parseRuleset({ nft: EXEMPTION.replaceAll('"op": "update"', '"op": "delete"') });
  t.equal(isNoted(deleting, { ...IPV4, socket: 'none' }), false);
});

t.test('a table of which a part is gone is put in again, whatever the verdicts', async (t) => {
  for (const chain of ['input', 'answer', 'output']) {
    const check = checkOf(exemptSnapshot(GUARDED));
    for (const table of check.snapshot.ruleset) if (table.family === 'inet') table.chains.delete(chain);
    t.equal(lacksExemption(check), true, chain);
  }
});

t.test('what arrives at a port that connections are redirected to is not spared', async (t) => {
  const { ruleset } = exemptSnapshot(GUARDED);
  const packet = { ...IPV4, socket: 'listener', destination: '10.0.0.9', destinationPort: 15_006 } as const;
  t.equal(judge(ruleset, packet).verdict, 'not dropped', 'nothing is known to be redirected');
  const [exempt] = ruleset.filter(({ family }) => family === 'inet');
  for (const { steps } of exempt?.chains.get('stray')?.rules ?? [])
    for (const step of steps)
      if ('when' in step && 'redirected' in step.when) Object.assign(step.when, { redirected: new Set([15_006]) });
  t.equal(judge(ruleset, packet).verdict, 'dropped');
  t.same(judgePass(ruleset, OWN), { holds: 'yes' });
});

t.test("Istio's rule of 1.23 and 1.24 is harmless behind it", async (t) => {
  const invalid = '-A PREROUTING -m conntrack --ctstate INVALID -j';
  const from124 = saved('mangle', ':ISTIO_DROP - [0:0]', `${invalid} ISTIO_DROP`, '-A ISTIO_DROP -j DROP');
  for (const rules of [saved('mangle', `${invalid} DROP`), from124]) {
    t.match(judgePass(legacySnapshot(rules).ruleset, OWN), { holds: 'no' });
    t.same(judgePass(exemptSnapshot(rules).ruleset, OWN), { holds: 'yes' });
  }
});

t.test('another rule that drops untracked packets is named, and the exemption is not put in again', async (t) => {
  const check = checkOf(exemptSnapshot(mangle('-p tcp -m conntrack --ctstate UNTRACKED -j DROP', '-p tcp -j DROP')));
  t.match(unsparedReasons(check)[0], /dropped by ".*UNTRACKED -j DROP"/);
  t.equal(lacksExemption(check), false);
});

t.test('what a check lacks', async (t) => {
  const alone = checkOf(legacySnapshot(GUARDED));
  t.equal(lacksExemption(alone), true);
  t.equal(areStraysNoted(alone), false);
  const whole = checkOf(exemptSnapshot(GUARDED));
  t.equal(lacksExemption(whole), false);
  t.equal(areStraysNoted(whole), true);
  t.same(unsparedReasons(whole), []);
});

t.test('a listener that the set lacks makes a pod unguarded, until it is added', async (t) => {
  const sockets = withListeners(LISTENER, { address: '10.0.0.2', port: 9001 });
  const { ruleset } = exemptSnapshot(GUARDED);
  t.same(unlistedListeners(ruleset, sockets), ['add element inet invalid-drop listeners4 { 10.0.0.2 . 9001 }']);
  t.same(unlistedListeners(legacySnapshot(GUARDED).ruleset, sockets), [], 'no table');
  t.match(
    unguardedReasons(checkOf(exemptSnapshot(GUARDED), 0, { present: true }, sockets))[0],
    /listener on 10.0.0.2:9001/,
  );
});

t.test('the rule of iptables spares ephemeral ports, and none that a listener has', async (t) => {
  t.match(exemptionRule('ipv4', SOCKETS), /-m socket -m multiport --dports 32768:60999 .* -j ACCEPT$/);
  const grpc = exemptionRule('ipv4', withListeners({ address: '10.0.0.2', port: 50_051 }));
  t.match(grpc, /--dports 32768:50050,50052:60999 /);
  const second = exemptionRule('ipv4', withListeners({ address: '10.0.0.2', port: 32_769 }));
  t.match(second, /--dports 32768,32770:60999 /, 'iptables refuses 32768:32768');
  t.equal(
    exemptionRule('ipv4', { ...withListeners({ address: '10.0.0.2', port: 5 }), ephemeralPorts: { from: 5, to: 5 } }),
    undefined,
  );
});

t.test('with that rule the verdict is the same, but for noting', async (t) => {
  const sockets = withListeners(LISTENER);
  const rule = `${exemptionRule('ipv4', sockets)}`;
  const check = checkOf(
    legacySnapshot(mangle(rule, '-p tcp -m conntrack --ctstate INVALID -j DROP')),
    0,
    undefined,
    sockets,
  );
  t.same(unsparedReasons(check), []);
  t.same(unguardedReasons(check), []);
  t.equal(areStraysNoted(check), false);
  const input = ruleInput(check, 'ipv4', 'legacy') ?? '';
  t.same(input.split('\n').slice(0, 3), ['*mangle', `-D PREROUTING ${rule}`, `-I PREROUTING 1 ${rule}`]);
});

t.test('where nft refuses the socket expression or quotas, the table goes in without them', async (t) => {
  const check = checkOf(legacySnapshot(GUARDED));
  const put = async (missing: RegExp) => {
    const inputs: string[] = [];
    const error = await putTable(check, 1000, async (_command, [input = '']) => {
      inputs.push(input);
      return { exitCode: missing.test(input) ? 1 : 0, stdout: '', stderr: 'Could not process rule: Not supported' };
    });
    return { error, last: inputs.at(-1), count: inputs.length };
  };
  const form = (socket: boolean, alarm: boolean) => exemptionTable(SOCKETS, { socket, alarm });
  t.same(await put(/^$/), { error: undefined, last: form(true, true), count: 1 });
  t.same(await put(/quota/), { error: undefined, last: form(true, false), count: 2 });
  t.notMatch(form(true, false), /quota/);
  const onlyNotes = await put(/socket/);
  t.match(onlyNotes.error, { code: 'COMMAND_FAILED', message: /Not supported/ });
  t.equal(onlyNotes.last, form(false, true));
  t.notMatch(onlyNotes.last, /socket|notrack/);
  t.match(await put(/socket|quota/), { error: { code: 'COMMAND_FAILED' }, last: form(false, false), count: 4 });
  t.match(await put(/./), { error: { code: 'COMMAND_FAILED' }, count: 4 });
  const missing = checkOf({ ...legacySnapshot(GUARDED), nftWorks: false });
  t.match(await putTable(missing, 1000, () => Promise.reject(new Error('not asked for'))), { code: 'NFT_MISSING' });
});

t.test('the table fits into an argument, with all listeners that it can have', async (t) => {
  const address = 'fd00:1111:2222:3333:4444:5555:6666:7777';
  const listeners = Array.from({ length: 5000 }, (_, i) => ({ address, port: 60_000 - i }));
  const ipv4 = listeners.map(({ port }) => ({ address: '100.100.100.100', port }));
  t.ok(exemptionTable({ ...SOCKETS, listeners: { ipv4, ipv6: listeners } }).length < 128 * 1024);
});

t.test('whether the table raises the alarm', async (t) => {
  const check = checkOf(exemptSnapshot(GUARDED));
  t.equal(raisesAlarm(check), true);
  t.equal(raisesAlarm(undefined), false);
  t.equal(raisesAlarm(checkOf(legacySnapshot(GUARDED))), false);
  for (const { chains } of check.snapshot.ruleset) chains.delete('stray');
  t.equal(raisesAlarm(check), false);
});
