// The rules that drop INVALID packets, whether or not they come to do it.
import { ownerOf } from '../../lib/netfilter/drop-rule.ts';
import type { Action, Rule, Ruleset } from '../../lib/netfilter/model.ts';
import type { RuleReference } from '../../lib/netfilter/verdict.ts';
import { conditionsOf } from './redirection.ts';

export type InvalidRule = RuleReference & { owner: string };

/** Every rule that names INVALID and drops, or jumps to a chain that drops; with its own counters. */
export function findInvalidRules(ruleset: Ruleset): InvalidRule[] {
  return ruleset.flatMap((table) =>
    [...table.chains.values()].flatMap((chain) =>
      chain.rules.filter(namesInvalid).flatMap((rule): InvalidRule[] => {
        const [target] = rule.steps.flatMap((step) => ('act' in step ? [step.act] : []));
        const dropper = target && dropperOf(target, chain.name, (name) => table.chains.get(name)?.rules);
        if (dropper === undefined) return [];
        const named = { backend: table.backend, table: `${table.family} ${table.name}`, chain: chain.name };
        const counted = rule.packets === undefined ? {} : { packets: rule.packets, bytes: rule.bytes ?? 0 };
        const reference = { ...named, rule: rule.text, ...counted };
        return [{ ...reference, owner: ownerOf({ ...reference, chain: dropper }) }];
      }),
    ),
  );
}

function namesInvalid(rule: Rule): boolean {
  return conditionsOf(rule).some(
    (one) => 'field' in one && one.field === 'ctstate' && !one.negate && one.oneOf.includes('invalid'),
  );
}

/** The chain in which the packet is dropped, if it is: Istio's rule jumps to one that does nothing else. */
function dropperOf(act: Action, chain: string, rulesOf: (chain: string) => Rule[] | undefined): string | undefined {
  if (act.do === 'drop') return chain;
  if (act.do !== 'jump' && act.do !== 'goto') return undefined;
  const drops = rulesOf(act.chain)?.some(({ steps }) => steps.some((step) => 'act' in step && step.act.do === 'drop'));
  return drops ? act.chain : undefined;
}
