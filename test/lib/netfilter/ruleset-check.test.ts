import t from 'tap';
import { errors } from '../../../lib/errors.ts';
import { RULE } from '../../../lib/netfilter/drop-rule.ts';
import { isGuarded, lookAtFamily, summarize } from '../../../lib/netfilter/ruleset-check.ts';
import { BARE, GUARDED, legacyReading, lookAt, mangle } from './made-checks.ts';

t.test('a pod is guarded if both families are, on every interface', async (t) => {
  t.equal(isGuarded(lookAt(legacyReading(GUARDED))), true);
  t.equal(isGuarded(lookAt(legacyReading(GUARDED, BARE))), false);
  t.equal(isGuarded(lookAt(legacyReading(BARE, GUARDED))), false);
  t.equal(isGuarded(lookAt(legacyReading(mangle(`-i eth0 ${RULE.tcp}`)))), false, 'loopback is left out');
});

t.test('a family that the pod does not have is not asked for', async (t) => {
  const absent = { present: false, reason: 'the pod has no IPv6 address', kernel: false } as const;
  t.equal(isGuarded(lookAt(legacyReading(GUARDED, BARE), 0, absent)), true);
});

t.test('the worst interface speaks for its class', async (t) => {
  const rules = legacyReading(mangle('-i eth1 -j RETURN', RULE.tcp));
  const { classes } = lookAtFamily(rules, 'ipv4', ['eth0', 'eth1', 'eth2', 'lo'], { present: true });
  t.match(classes.external, { verdict: 'escapes', interface: 'eth1' });
  t.match(classes.loopback, { verdict: 'dropped', interface: 'lo' });
});

t.test('rules that cannot be read leave a family unknown, whatever else is seen', async (t) => {
  const unreadable = { ipv4: errors.LEGACY_UNREADABLE('ipv4', 'Permission denied') };
  const look = lookAt({ ...legacyReading(GUARDED), unreadable });
  t.match(look.families.ipv4.classes.external, { verdict: 'unknown', reason: /CAP_NET_RAW/ });
  t.equal(summarize(look), 'cannot tell');
});

t.test('one certain escape is worse than all that cannot be told', async (t) => {
  const maybe = mangle('-m owner --uid-owner 1 -j ACCEPT', RULE.tcp);
  t.equal(summarize(lookAt(legacyReading(maybe))), 'cannot tell');
  t.equal(summarize(lookAt(legacyReading(maybe, BARE))), 'not guarded');
  t.equal(summarize(lookAt(legacyReading(GUARDED))), 'guarded');
});
