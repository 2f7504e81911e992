import t from 'tap';
import { errors } from '../../../lib/errors.ts';
import { RULE } from '../../../lib/netfilter/drop-rule.ts';
import {
  checkFamily,
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
