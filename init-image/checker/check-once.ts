// check --once: one report, for people and scripts.
import { describeCheck } from '../../lib/checker/checker-report.ts';
import { readEvidence } from '../../lib/netfilter/proc.ts';
import { checkRuleset, summarize } from '../../lib/netfilter/ruleset-check.ts';
import { makeRulesetReader } from '../../lib/netfilter/ruleset-reader.ts';
import { printableJson } from '../../lib/printable.ts';
import type { CheckValues } from '../program-options.ts';

/** @returns the exit code */
export async function checkOnce(values: CheckValues): Promise<number> {
  const check = await checkRuleset(makeRulesetReader(values['command-timeout'] * 1000));
  process.stdout.write(`${printableJson(describeCheck(check, readEvidence()), 2)}\n`);
  return { guarded: 0, 'not guarded': 1, 'cannot tell': 2 }[summarize(check)];
}
