// Samples of a pod's evidence, for tests of what follows from them.
import {
  describeRuleset,
  type EvidenceSample,
  type NamespaceCounters,
  type RulesetEvidence,
} from '../../../init-image/explain/evidence.ts';
import type { StrayEvidence } from '../../../init-image/explain/stray-evidence.ts';
import { checkOf, exemptSnapshot, legacySnapshot } from '../../lib/netfilter/made-checks.ts';

const INTERFACES = ['lo', 'eth0'];
const COUNTERS: NamespaceCounters = {
  ...{ kernelRelease: '6.18.0', tcpBeLiberal: 0, conntrackEntries: 12 },
  ...{ conntrackInvalid: 100, outRsts: 100, estabResets: 100 },
};

/** Rules as Istio writes them, as iptables-save prints them back: with the builtin chains, and the tcp match named. */
export function asSaved(rules: string): string {
  const builtin = '$&\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]';
  return rules.replace(/-p tcp( !)? --dport/g, '-p tcp -m tcp$1 --dport').replace(/^\*.*$/gm, builtin);
}

/** The rules of a pod with lo and eth0 that has the same iptables-save text in both families. */
export function rulesOf(saved: string): RulesetEvidence {
  return describeRuleset(checkOf(legacySnapshot(saved)), INTERFACES);
}

/** The same with the exemption. */
export function exemptRulesOf(saved: string): RulesetEvidence {
  return describeRuleset(checkOf(exemptSnapshot(saved)), INTERFACES);
}

/** A checker rescues, and nothing is noted. */
export const RESCUING: StrayEvidence = {
  connections: [],
  rescue: { state: 'enabled', rescued: 0, failed: 0, persistent: 0 },
};

/** The same two samples of a pod whose conntrack is liberal: in the second only where `since` says so. */
export function liberal([before, after]: [EvidenceSample, EvidenceSample], since: 'both' | 'second' = 'both') {
  const set = (sample: EvidenceSample) => ({ ...sample, counters: { ...sample.counters, tcpBeLiberal: 1 } });
  return [since === 'both' ? set(before) : before, set(after)] satisfies [EvidenceSample, EvidenceSample];
}

/** Two samples ten seconds apart with the same rules, unless they are given twice. */
export function samples(
  grown: Partial<Record<'conntrackInvalid' | 'outRsts' | 'estabResets', number>>,
  rules: EvidenceSample['rules'],
  first: EvidenceSample['rules'] = rules,
  strays: [StrayEvidence, StrayEvidence] = [RESCUING, RESCUING],
): [EvidenceSample, EvidenceSample] {
  const after = { ...COUNTERS };
  for (const [name, growth] of Object.entries(grown)) after[name as 'outRsts'] = 100 + growth;
  return [
    { at: 0, counters: { ...COUNTERS }, rules: first, strays: strays[0] },
    { at: 10_000, counters: after, rules, strays: strays[1] },
  ];
}
