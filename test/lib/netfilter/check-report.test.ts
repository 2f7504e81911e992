import t from 'tap';
import { describeFamilies, unguardedClasses } from '../../../lib/netfilter/check-report.ts';
import { RULE } from '../../../lib/netfilter/drop-rule.ts';
import { BARE, GUARDED, legacyReading, lookAt, mangle } from './made-checks.ts';

const ABSENT = { present: false, reason: 'the pod has no IPv6 address', kernel: false } as const;

t.test('a family that is not there says why', async (t) => {
  const { ipv4, ipv6 } = describeFamilies(lookAt(legacyReading(GUARDED, BARE), 0, ABSENT));
  t.match(ipv4, { present: true, reason: undefined });
  t.match(ipv6, { present: false, reason: 'the pod has no IPv6 address', external: { verdict: 'escapes' } });
});

t.test('an escape names the rule that lets the packet pass, and its owner', async (t) => {
  const { ipv4 } = describeFamilies(lookAt(legacyReading(mangle('-p tcp -j ACCEPT', RULE.tcp))));
  t.match(ipv4.external, { verdict: 'escapes', interface: 'eth0', reason: /ACCEPT/ });
  t.match(ipv4.external?.rules, [{ rule: '-A PREROUTING -p tcp -j ACCEPT', owner: 'another program' }]);
});

t.test('a verdict without a rule names none', async (t) => {
  const { ipv4 } = describeFamilies(lookAt(legacyReading(mangle('-m owner --uid-owner 1 -j ACCEPT', RULE.tcp))));
  t.match(ipv4.external, { verdict: 'unknown', rules: [], reason: /owner/ });
  t.same(describeFamilies(lookAt(legacyReading(BARE))).ipv4.external?.rules, []);
});

t.test('what is not guarded is listed for present families only, and nothing where all is well', async (t) => {
  t.same(unguardedClasses(lookAt(legacyReading(GUARDED))), []);
  t.same(unguardedClasses(lookAt(legacyReading(GUARDED, BARE), 0, ABSENT)), []);
  t.match(unguardedClasses(lookAt(legacyReading(mangle(`! -i lo ${RULE.tcp}`), GUARDED))), [
    { family: 'ipv4', interfaceClass: 'loopback', interface: 'lo', reason: /no rule/ },
  ]);
});
