// One look at this network namespace: the verdict for every family and interface that is there.
import type { CodedError } from '../errors.ts';
import type { Family } from './model.ts';
import { type Presence, readInterfaces, readPresence } from './proc.ts';
import { FAMILIES } from './programs.ts';
import type { Reading } from './ruleset-reader.ts';
import { judge, type Verdict } from './verdict.ts';

/** Loopback carries sidecar to application, all others carry the network: a bounded set for reports and labels. */
export const INTERFACE_CLASSES = ['external', 'loopback'] as const;
export type InterfaceClass = (typeof INTERFACE_CLASSES)[number];

/** The worst verdict of the interfaces of one class, and one interface that has it. */
export type ClassVerdict = Verdict & { interface: string };

export interface FamilyLook {
  presence: Presence;
  /** A class without interfaces is left out. */
  classes: Partial<Record<InterfaceClass, ClassVerdict>>;
}

export interface Look {
  /** Milliseconds since 1970. */
  at: number;
  families: Record<Family, FamilyLook>;
  reading: Reading;
  /** Interfaces and presence of the families, as text. */
  seen: string;
}

/**
 * Reads the ruleset and judges it. Throws what the reader throws.
 * @param before the last look: where nothing has changed since, its verdicts stand
 */
export async function takeLook(read: () => Promise<Reading>, before?: Look): Promise<Look> {
  const reading = await read();
  const [interfaces, ipv4, ipv6] = [readInterfaces(), readPresence('ipv4'), readPresence('ipv6')];
  const seen = JSON.stringify([interfaces, ipv4, ipv6]);
  if (before?.reading === reading && before.seen === seen) return { ...before, at: Date.now() };
  const families = {
    ipv4: lookAtFamily(reading, 'ipv4', interfaces, ipv4),
    ipv6: lookAtFamily(reading, 'ipv6', interfaces, ipv6),
  };
  return { at: Date.now(), families, reading, seen };
}

/** Pure: the verdicts of one family from what was read. */
export function lookAtFamily(reading: Reading, family: Family, interfaces: string[], presence: Presence): FamilyLook {
  const classes: FamilyLook['classes'] = {};
  for (const name of interfaces) {
    const kind = name === 'lo' ? 'loopback' : 'external';
    const verdict = { ...judgeOn(reading, family, name), interface: name };
    const known = classes[kind];
    if (!known || badness(verdict) > badness(known)) classes[kind] = verdict;
  }
  return { presence, classes };
}

function judgeOn(reading: Reading, family: Family, iif: string): Verdict {
  const unreadable: CodedError | undefined = reading.unreadable[family];
  if (unreadable) return { verdict: 'unknown', reason: unreadable.message };
  const verdict = judge(reading.ruleset, { family, iif });
  const unexplained = reading.unexplained[family];
  if (verdict.verdict !== 'unknown' || !unexplained) return verdict;
  return { verdict: 'unknown', reason: `${verdict.reason}; ${unexplained.message}` };
}

function badness(verdict: Verdict): number {
  return ['dropped', 'unknown', 'escapes'].indexOf(verdict.verdict);
}

/** Whether every INVALID TCP packet of the family is dropped, on whatever interface it arrives. */
export function isFamilyGuarded(look: FamilyLook): boolean {
  return Object.values(look.classes).every(({ verdict }) => verdict === 'dropped');
}

/** Whether the pod is guarded: in each family that it has. */
export function isGuarded(look: Look): boolean {
  return FAMILIES.every((family) => !look.families[family].presence.present || isFamilyGuarded(look.families[family]));
}

/** Guarded, not guarded, or not to be told: the worst that any present family and interface has. */
export function summarize(look: Look): 'guarded' | 'not guarded' | 'cannot tell' {
  if (isGuarded(look)) return 'guarded';
  const present = FAMILIES.map((family) => look.families[family]).filter(({ presence }) => presence.present);
  const verdicts = present.flatMap(({ classes }) => Object.values(classes));
  return verdicts.some(({ verdict }) => verdict === 'escapes') ? 'not guarded' : 'cannot tell';
}
