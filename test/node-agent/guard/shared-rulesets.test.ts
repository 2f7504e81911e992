import t from 'tap';
import { RULE } from '../../../lib/netfilter/drop-rule.ts';
import { parseRuleset } from '../../../lib/netfilter/ruleset.ts';
import { shareRulesets } from '../../../node-agent/guard/shared-rulesets.ts';
import { mangle } from '../../lib/netfilter/made-checks.ts';

const parsed = (packets: number) =>
  parseRuleset({
    legacySave: { ipv4: mangle(`[${packets}:${packets * 60}] ${RULE.tcp}`, '[1:60] -p udp -j ACCEPT'), ipv6: mangle() },
  });

t.test('the same rules with the same counters are kept once', async (t) => {
  const { ruleset } = shareRulesets();
  const first = ruleset(parsed(3), 'shape', 100);
  t.same(first, parsed(3));
  t.equal(ruleset(parsed(3), 'shape', 100)[0], first[0]);
});

t.test('of rules that have counted, all but the counters', async (t) => {
  const { ruleset } = shareRulesets();
  const [before] = ruleset(parsed(3), 'shape', 100);
  const after = ruleset(parsed(4), 'shape', 100);
  t.strictSame(after, parsed(4), 'it is what was read');
  t.same(before, parsed(3)[0], 'what others keep is as it was');
  const rulesOf = (table = before) => [...(table?.chains.values() ?? [])].flatMap(({ rules }) => rules);
  const [[moved, still], [counted]] = [rulesOf(before), rulesOf(after[0])];
  t.not(counted, moved);
  t.equal(counted?.steps, moved?.steps);
  t.equal(rulesOf(after[0])[1], still);
});

t.test('another shape shares nothing', async (t) => {
  const { ruleset } = shareRulesets();
  const [before] = ruleset(parsed(3), 'shape', 100);
  t.not(ruleset(parsed(3), 'another', 100)[0], before);
});

t.test('equal texts are one, and digests tell different ones apart', async (t) => {
  const { digest } = shareRulesets();
  t.equal(digest('a'.repeat(1000)), digest('a'.repeat(1000)));
  t.not(digest('a'), digest('b'));
  t.equal(digest('a'.repeat(1000)).length, 44);
});

t.test('large ones are not remembered: a pod could have the agent keep one after the other', async (t) => {
  const { ruleset } = shareRulesets();
  const [before] = ruleset(parsed(3), 'shape', 200_000);
  t.not(ruleset(parsed(3), 'shape', 200_000)[0], before);
});
