// What a look says, as plain data for /selfcheck, --once and the logs.

import { ownerOf } from './drop-rule.ts';
import type { Family } from './model.ts';
import type { Presence } from './proc.ts';
import { FAMILIES } from './programs.ts';
import { type ClassVerdict, INTERFACE_CLASSES, type InterfaceClass, type Look } from './ruleset-check.ts';
import type { RuleReference } from './verdict.ts';

export type InterfaceReport = {
  verdict: ClassVerdict['verdict'];
  interface: string;
  reason?: string;
  rules: RuleReport[];
};
export type RuleReport = RuleReference & { owner: string };
export type FamilyReport = { present: boolean; reason?: string } & Partial<Record<InterfaceClass, InterfaceReport>>;

/** Every family with the verdict of each class of interfaces, and the rules that decide it. */
export function describeFamilies(look: Look): Record<Family, FamilyReport> {
  const entries = FAMILIES.map((family) => {
    const { presence, classes } = look.families[family];
    const verdicts = INTERFACE_CLASSES.flatMap((name) => {
      const verdict = classes[name];
      return verdict ? [[name, describeVerdict(verdict)]] : [];
    });
    return [family, { ...describePresence(presence), ...Object.fromEntries(verdicts) }];
  });
  return Object.fromEntries(entries);
}

function describePresence(presence: Presence): { present: boolean; reason?: string } {
  return presence.present ? { present: true } : { present: false, reason: presence.reason };
}

function describeVerdict(verdict: ClassVerdict): InterfaceReport {
  const rules = rulesOf(verdict).map((rule) => ({ ...rule, owner: ownerOf(rule) }));
  const report = { verdict: verdict.verdict, interface: verdict.interface, rules };
  return verdict.verdict === 'dropped' ? report : { ...report, reason: verdict.reason };
}

/** The rules that a verdict names. */
export function rulesOf(verdict: ClassVerdict): RuleReference[] {
  if (verdict.verdict === 'dropped') return verdict.by;
  return verdict.verdict === 'escapes' && verdict.by ? [verdict.by] : [];
}

/** Classes of present families on which an INVALID packet is not dropped for sure. */
export function unguardedClasses(look: Look) {
  return FAMILIES.filter((family) => look.families[family].presence.present).flatMap((family) =>
    INTERFACE_CLASSES.flatMap((interfaceClass) => {
      const verdict = look.families[family].classes[interfaceClass];
      if (!verdict || verdict.verdict === 'dropped') return [];
      return [{ family, interfaceClass, interface: verdict.interface, reason: verdict.reason }];
    }),
  );
}
