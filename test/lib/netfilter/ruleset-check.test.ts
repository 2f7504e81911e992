import t from 'tap';
import { errors } from '../../../lib/errors.ts';
import { RULE } from '../../../lib/netfilter/drop-rule.ts';
import { ownNamespace } from '../../../lib/netfilter/namespace-access.ts';
import {
  checkFamily,
  checkRuleset,
  describeFamilies,
  isExempt,
  isGuarded,
  summarize,
  unguardedReasons,
} from '../../../lib/netfilter/ruleset-check.ts';
import { BARE, checkOf, exemptSnapshot, GUARDED, legacySnapshot, mangle, SOCKETS } from './made-checks.ts';
import { saved } from './ruleset-dumps.ts';

t.test('a pod is guarded if both families are, on every interface', async (t) => {
  t.equal(isGuarded(checkOf(legacySnapshot(GUARDED))), true);
  t.equal(isGuarded(checkOf(legacySnapshot(GUARDED, BARE))), false);
  t.equal(isGuarded(checkOf(legacySnapshot(BARE, GUARDED))), false);
  t.equal(isGuarded(checkOf(legacySnapshot(mangle(`-i eth0 ${RULE.tcp}`)))), false, 'loopback is left out');
});

t.test('a family that the pod does not have is not asked for', async (t) => {
  const absent = { present: false, reason: 'the pod has no IPv6 address', unsupported: false } as const;
  t.equal(isGuarded(checkOf(legacySnapshot(GUARDED, BARE), 0, absent)), true);
});

t.test('the worst interface speaks for its class', async (t) => {
  const rules = legacySnapshot(mangle('-i eth1 -j RETURN', RULE.tcp));
  const { classes } = checkFamily(rules, 'ipv4', ['eth0', 'eth1', 'eth2', 'lo'], { present: true }, SOCKETS);
  t.match(classes.external, { verdict: 'not dropped', interface: 'eth1' });
  t.match(classes.loopback, { verdict: 'dropped', interface: 'lo' });
});

t.test('rules that cannot be read leave a family unknown, whatever else is seen', async (t) => {
  const readError = { ipv4: errors.LEGACY_UNREADABLE('ipv4', 'Permission denied') };
  const check = checkOf({ ...legacySnapshot(GUARDED), readError });
  t.match(check.families.ipv4.classes.external, { verdict: 'unknown', reason: /CAP_NET_RAW/ });
  t.equal(summarize(check), 'cannot tell');
});

t.test('flows out of conntrack are no reason to call a pod unguarded, and the report tells of loopback', async (t) => {
  const notrack = saved('raw', '-A PREROUTING -p tcp -m tcp --dport 9001 -j NOTRACK');
  const check = checkOf(exemptSnapshot(notrack + GUARDED));
  t.equal(isGuarded(check), true);
  t.equal(summarize(check), 'guarded');
  t.same(unguardedReasons(check), []);
  t.equal(isExempt(check), true, 'connections that are tracked are noted');
  const { external, loopback } = describeFamilies(check).ipv4;
  t.match(external, { mustDrop: { holds: 'yes', rules: [{ owner: 'invalid-drop' }] }, noted: true });
  t.match(loopback, { mustDrop: { holds: /no|unknown/, reason: /NOTRACK/ }, noted: true });
  t.equal(isGuarded(checkOf(exemptSnapshot(notrack))), false, 'the others are not dropped');
});

t.test('one certain escape is worse than all that cannot be told', async (t) => {
  const maybe = mangle('-m owner --uid-owner 1 -j ACCEPT', RULE.tcp);
  t.equal(summarize(checkOf(legacySnapshot(maybe))), 'cannot tell');
  t.equal(summarize(checkOf(legacySnapshot(maybe, BARE))), 'not guarded');
  t.equal(summarize(checkOf(legacySnapshot(GUARDED))), 'guarded');
});

const counted = (packets: number) => mangle(`[${packets}:0] ${RULE.tcp}`, '[7:7] -p udp -j ACCEPT');
/** What the rule that drops has counted, as the check of loopback tells; undefined where it is not dropped. */
function countOf({ families }: Awaited<ReturnType<typeof checkRuleset>>): number | undefined {
  const { loopback } = families.ipv4.classes;
  return loopback?.verdict === 'dropped' ? loopback.by[0]?.rule?.packets : undefined;
}

t.test('where only counters have moved, verdicts stand, and have the new counters', async (t) => {
  const shaped = (rules: string, shape: string) => async () => ({ ...legacySnapshot(rules), shape });
  const first = await checkRuleset(shaped(counted(1), 'a'));
  t.equal(countOf(first), 1);
  const second = await checkRuleset(shaped(counted(5), 'a'), first);
  t.equal(countOf(second), 5);
  t.equal(countOf(first), 1, 'the check before is left as it was');
  const other = mangle('[3:3] -p tcp -j ACCEPT', '-p udp -j ACCEPT');
  t.equal(countOf(await checkRuleset(shaped(other, 'b'), second)), undefined, 'another ruleset is judged anew');
  t.equal(countOf(await checkRuleset(shaped(other, 'a'), second)), 3, 'what has the same shape is not');
  t.equal(countOf(await checkRuleset(shaped(BARE, 'a'), second)), undefined, 'unless a rule is not found');
});

t.test('a verdict that names the rule that lets a packet pass is carried too', async (t) => {
  const rules = (packets: number) => mangle(`[${packets}:0] -p tcp -j ACCEPT`, RULE.tcp);
  const shaped = (packets: number) => async () => ({ ...legacySnapshot(rules(packets)), shape: 'a' });
  const first = await checkRuleset(shaped(1));
  const { loopback } = (await checkRuleset(shaped(9), first)).families.ipv4.classes;
  t.match(loopback, { verdict: 'not dropped', by: { rule: { packets: 9 } }, mustPass: { holds: 'yes' } });
});

t.test('of rules that keep own segments away the counters are new as well', async (t) => {
  const shaped = (packets: number) => async () => ({ ...legacySnapshot(counted(packets)), shape: 'a' });
  const first = await checkRuleset(shaped(1));
  const { loopback } = (await checkRuleset(shaped(9), first)).families.ipv4.classes;
  t.match(loopback?.mustPass, { holds: 'no', by: [{ rule: { packets: 9 } }] });
});

t.test('a ruleset that takes for ever to evaluate is unknown, for whatever is not known by then', async (t) => {
  const marks = Array.from(
    { length: 300 },
    (_, i) => `-s 10.0.${i >> 8}.${i & 255}/32 -j MARK --set-xmark 0x0/0x${(2 ** (i % 31)).toString(16)}`,
  );
  const interfaces = ['lo', ...Array.from({ length: 100 }, (_, i) => `eth${i}`)];
  const work = { left: 20_000 };
  const snapshot = legacySnapshot(mangle(...marks));
  const { classes } = checkFamily(snapshot, 'ipv4', interfaces, { present: true }, SOCKETS, work);
  t.match(classes.external, { verdict: 'unknown', reason: /too many rules, interfaces and listeners/, noted: false });
  t.ok(work.left > -1000, `${20_000 - work.left} steps`);
});

t.test('a namespace of which /proc shows no interface is not guarded for that', async (t) => {
  const files: Record<string, string> = { dev: '' };
  const namespace = { ...ownNamespace, readNet: (file: string) => files[file], netPath: () => '/dev/null' };
  const check = checkRuleset(async () => legacySnapshot(BARE), undefined, namespace);
  await t.rejects(check, { code: 'NAMESPACE_UNREADABLE' });
});
