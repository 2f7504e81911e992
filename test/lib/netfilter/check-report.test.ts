import t from 'tap';
import { RULE } from '../../../lib/netfilter/drop-rule.ts';
import { describeFamilies, unguardedClasses } from '../../../lib/netfilter/ruleset-check.ts';
import { BARE, checkOf, GUARDED, legacySnapshot, mangle } from './made-checks.ts';

const ABSENT = { present: false, reason: 'the pod has no IPv6 address', unsupported: false } as const;

t.test('a family that is not there says why', async (t) => {
  const { ipv4, ipv6 } = describeFamilies(checkOf(legacySnapshot(GUARDED, BARE), 0, ABSENT));
  t.match(ipv4, { present: true, reason: undefined });
  t.match(ipv6, { present: false, reason: 'the pod has no IPv6 address', external: { mustDrop: { holds: 'no' } } });
});

t.test('an escape names the rule that lets the packet pass, and its owner', async (t) => {
  const { ipv4 } = describeFamilies(checkOf(legacySnapshot(mangle('-p tcp -j ACCEPT', RULE.tcp))));
  t.match(ipv4.external, { mustDrop: { holds: 'no', reason: /ACCEPT/ }, interface: 'eth0' });
  t.match(ipv4.external?.mustDrop.rules, [{ rule: '-A PREROUTING -p tcp -j ACCEPT', owner: 'another program' }]);
});

t.test('a verdict without a rule names none', async (t) => {
  const { ipv4 } = describeFamilies(checkOf(legacySnapshot(mangle('-m owner --uid-owner 1 -j ACCEPT', RULE.tcp))));
  t.match(ipv4.external, { mustDrop: { holds: 'unknown', rules: [], reason: /owner/ } });
  t.same(describeFamilies(checkOf(legacySnapshot(BARE))).ipv4.external?.mustDrop.rules, []);
});

t.test('what is not guarded is listed for present families only, and nothing where all is well', async (t) => {
  t.same(unguardedClasses(checkOf(legacySnapshot(GUARDED))), []);
  t.same(unguardedClasses(checkOf(legacySnapshot(GUARDED, BARE), 0, ABSENT)), []);
  t.match(unguardedClasses(checkOf(legacySnapshot(mangle(`! -i lo ${RULE.tcp}`), GUARDED))), [
    { family: 'ipv4', interfaceClass: 'loopback', interface: 'lo', reason: /no rule/ },
  ]);
});
