// One check of this network namespace: the verdict on each family and interface, and how reports tell it.
import { type RuleReference, referTo } from './drop-rule.ts';
import type { RuleLocation } from './model.ts';
import { FAMILIES, type Family } from './packet.ts';
import { type FamilyStatus, readFamilyStatus, readInterfaces } from './proc.ts';
import type { RulesetSnapshot } from './ruleset-reader.ts';
import { judge, type Verdict } from './verdict.ts';

/** Loopback carries sidecar to application, all others carry the network: a bounded set for reports and labels. */
export const INTERFACE_CLASSES = ['external', 'loopback'] as const;
export type InterfaceClass = (typeof INTERFACE_CLASSES)[number];

/** The worst verdict of the interfaces of one class, and one interface that has it. */
export type ClassVerdict = Verdict & { interface: string };

export interface FamilyCheck {
  status: FamilyStatus;
  /** A class without interfaces is left out. */
  classes: Partial<Record<InterfaceClass, ClassVerdict>>;
}

export interface RulesetCheck {
  /** Milliseconds since 1970. */
  at: number;
  families: Record<Family, FamilyCheck>;
  snapshot: RulesetSnapshot;
  /** Interfaces and status of the families. */
  namespaceState: string;
}

/**
 * Reads the ruleset and judges it.
 * @param before the last check: where nothing has changed since, its verdicts stand
 * @throws what `read` throws
 */
export async function checkRuleset(read: () => Promise<RulesetSnapshot>, before?: RulesetCheck): Promise<RulesetCheck> {
  const snapshot = await read();
  const [interfaces, ipv4, ipv6] = [readInterfaces(), readFamilyStatus('ipv4'), readFamilyStatus('ipv6')];
  const namespaceState = JSON.stringify([interfaces, ipv4, ipv6]);
  if (before?.snapshot === snapshot && before.namespaceState === namespaceState) return { ...before, at: Date.now() };
  const families = {
    ipv4: checkFamily(snapshot, 'ipv4', interfaces, ipv4),
    ipv6: checkFamily(snapshot, 'ipv6', interfaces, ipv6),
  };
  return { at: Date.now(), families, snapshot, namespaceState };
}

/** Pure: the verdicts on one family from what was read. */
export function checkFamily(
  snapshot: RulesetSnapshot,
  family: Family,
  interfaces: string[],
  status: FamilyStatus,
): FamilyCheck {
  const classes: FamilyCheck['classes'] = {};
  for (const name of interfaces) {
    const kind = name === 'lo' ? 'loopback' : 'external';
    const verdict = { ...judgeOn(snapshot, family, name), interface: name };
    const known = classes[kind];
    if (!known || badness(verdict) > badness(known)) classes[kind] = verdict;
  }
  return { status, classes };
}

function judgeOn(snapshot: RulesetSnapshot, family: Family, iif: string): Verdict {
  const readError = snapshot.readError[family];
  if (readError) return { verdict: 'unknown', reason: readError.message };
  const verdict = judge(snapshot.ruleset, { ctstate: 'invalid', family, iif });
  const xtError = snapshot.xtError[family];
  if (verdict.verdict !== 'unknown' || !xtError) return verdict;
  return { verdict: 'unknown', reason: `${verdict.reason}; ${xtError.message}` };
}

function badness({ verdict }: Verdict): number {
  return ['dropped', 'unknown', 'not dropped'].indexOf(verdict);
}

/** Whether every INVALID TCP packet of the family is dropped, on every interface. */
export function isFamilyGuarded({ classes }: FamilyCheck): boolean {
  return Object.values(classes).every(({ verdict }) => verdict === 'dropped');
}

/** Whether the pod is guarded: in each family that it has. */
export function isGuarded({ families }: RulesetCheck): boolean {
  return FAMILIES.every((family) => !families[family].status.present || isFamilyGuarded(families[family]));
}

/** Guarded, not guarded, or not to be told: the worst of all present families and interfaces. */
export function summarize(check: RulesetCheck): 'guarded' | 'not guarded' | 'cannot tell' {
  if (isGuarded(check)) return 'guarded';
  return unguardedClasses(check).some(({ verdict }) => verdict === 'not dropped') ? 'not guarded' : 'cannot tell';
}

/** Classes of present families on which an INVALID packet is not certain to be dropped. */
export function unguardedClasses({ families }: RulesetCheck) {
  return FAMILIES.filter((family) => families[family].status.present).flatMap((family) =>
    INTERFACE_CLASSES.flatMap((interfaceClass) => {
      const found = families[family].classes[interfaceClass];
      if (!found || found.verdict === 'dropped') return [];
      const { verdict, interface: name, reason } = found;
      return [{ family, interfaceClass, interface: name, verdict, reason }];
    }),
  );
}

/** Why an INVALID packet is not certain to be dropped: each reason once, with the families and interfaces. */
export function unguardedReasons(check: RulesetCheck): string[] {
  const places = new Map<string, string[]>();
  for (const { family, interface: name, reason } of unguardedClasses(check)) {
    places.set(reason, [...(places.get(reason) ?? []), `${family} on ${name}`]);
  }
  return [...places].map(([reason, where]) => `${where.join(', ')}: ${reason}`);
}

/** The rules that drop INVALID packets of the family. The same rule may decide for several interfaces. */
export function droppingRules({ classes }: FamilyCheck): RuleLocation[] {
  return Object.values(classes).flatMap((found) => (found.verdict === 'dropped' ? found.by : []));
}

export interface InterfaceReport {
  verdict: Verdict['verdict'];
  interface: string;
  reason?: string;
  rules: RuleReference[];
}
export type FamilyReport = { present: boolean; reason?: string } & Partial<Record<InterfaceClass, InterfaceReport>>;

/**
 * Every family with the verdict on each class of interfaces, and the rules that decide it. For /selfcheck and --once.
 */
export function describeFamilies({ families }: RulesetCheck): Record<Family, FamilyReport> {
  const entries = FAMILIES.map((family) => {
    const { status, classes } = families[family];
    const reports = INTERFACE_CLASSES.flatMap((name) => {
      const verdict = classes[name];
      return verdict ? [[name, describeVerdict(verdict)]] : [];
    });
    const presence = status.present ? { present: true } : { present: false, reason: status.reason };
    return [family, { ...presence, ...Object.fromEntries(reports) }];
  });
  return Object.fromEntries(entries);
}

function describeVerdict(found: ClassVerdict): InterfaceReport {
  const by = found.verdict === 'unknown' ? [] : [found.by ?? []].flat();
  const report = { verdict: found.verdict, interface: found.interface, rules: by.map(referTo) };
  return found.verdict === 'dropped' ? report : { ...report, reason: found.reason };
}
