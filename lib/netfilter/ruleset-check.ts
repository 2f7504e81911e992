// One check of a network namespace: the verdict on each family and interface, and how reports tell it.
import { monotonicNow } from '../clock.ts';
import { errors } from '../errors.ts';
import { type RuleReference, referTo } from './drop-rule.ts';
import { evaluate, type WorkBudget } from './evaluator.ts';
import { type LocalSockets, readLocalSockets } from './local-sockets.ts';
import { type RuleLocation, type Ruleset, tableName } from './model.ts';
import { type NamespaceAccess, ownNamespace } from './namespace-access.ts';
import { EXEMPTION_TABLE } from './nft-statement.ts';
import { FAMILIES, type Family, type Packet } from './packet.ts';
import { type FamilyStatus, readFamilyStatus, readInterfaces } from './proc.ts';
import type { RulesetSnapshot } from './ruleset-reader.ts';
import { type FindAgain, makeFindAgain } from './same-ruleset.ts';
import { findSynproxy } from './synproxy.ts';
import { isNoted, judge, judgePass, type PassVerdict, type Verdict } from './verdict.ts';

/** Loopback carries sidecar to application, all others carry the network: a bounded set for reports and labels. */
export const INTERFACE_CLASSES = ['external', 'loopback'] as const;
export type InterfaceClass = (typeof INTERFACE_CLASSES)[number];

/** The worst verdicts of the interfaces of one class, and one interface that has the first. */
export type ClassVerdict = Verdict & {
  interface: string;
  /** On a packet that has a socket of its own. */
  mustPass: PassVerdict;
  /** Whether the connections of all INVALID packets are noted. */
  noted: boolean;
};

export interface FamilyCheck {
  status: FamilyStatus;
  /** A rule for whose connections no INVALID packet may be dropped. */
  synproxy?: RuleLocation;
  /** A class without interfaces is left out. */
  classes: Partial<Record<InterfaceClass, ClassVerdict>>;
}

export interface RulesetCheck {
  /** Milliseconds since 1970. */
  at: number;
  families: Record<Family, FamilyCheck>;
  /** Whether the exemption's table lets own sockets' segments pass and notes, whatever other rules do to them behind it. */
  tableSpares: boolean;
  snapshot: RulesetSnapshot;
  /** Interfaces, status of the families, sockets: all that a verdict depends on beside the ruleset. */
  namespaceState: string;
  sockets: LocalSockets;
  /** Milliseconds for which nothing else ran. */
  took: number;
}

/**
 * Steps of all evaluations of one check: what runs in a pod decides how many rules, interfaces and listeners there are,
 * and an agent checks many pods. What remains is unknown then.
 */
const MAX_WORK = 250_000;

/**
 * Reads the ruleset and judges it.
 * @param before the last check: where nothing has changed since, its verdicts stand
 * @param namespace that `read` reads
 * @throws what `read` throws, and what its /proc does
 */
export async function checkRuleset(
  read: () => Promise<RulesetSnapshot>,
  before?: RulesetCheck,
  namespace: NamespaceAccess = ownNamespace,
): Promise<RulesetCheck> {
  const snapshot = await read();
  const started = monotonicNow();
  const sockets = readLocalSockets(before?.sockets, namespace);
  const [ipv4, ipv6] = [readFamilyStatus('ipv4', namespace), readFamilyStatus('ipv6', namespace)];
  // Last: what went missing before because the process that shows them has ended is not there either.
  const interfaces = readInterfaces(namespace);
  const namespaceState = JSON.stringify([interfaces, ipv4, ipv6, { ...sockets, seen: null }]);
  if (before?.snapshot === snapshot && before.namespaceState === namespaceState)
    return { ...before, at: Date.now(), sockets, took: monotonicNow() - started };
  const isSameRuleset = before !== undefined && isSame(before.snapshot, snapshot);
  const carried =
    isSameRuleset && before.namespaceState === namespaceState
      ? carryVerdicts(before.families, makeFindAgain(before.snapshot.ruleset, snapshot.ruleset))
      : undefined;
  const work = { left: MAX_WORK };
  const families = carried ?? {
    ipv4: checkFamily(snapshot, 'ipv4', interfaces, ipv4, sockets, work),
    ipv6: checkFamily(snapshot, 'ipv6', interfaces, ipv6, sockets, work),
  };
  const tableSpares = isSameRuleset ? before.tableSpares : sparesAndNotes(snapshot.ruleset);
  const took = monotonicNow() - started;
  return { at: Date.now(), families, tableSpares, snapshot, namespaceState, sockets, took };
}

/** The exemption's table, if it is there. */
export function exemptionTables(ruleset: Ruleset): Ruleset {
  return ruleset.filter((table) => table.backend === 'nft' && tableName(table) === EXEMPTION_TABLE);
}

/** Pure: what RulesetCheck calls tableSpares. */
export function sparesAndNotes(ruleset: Ruleset): boolean {
  const own = exemptionTables(ruleset);
  return FAMILIES.every((family) => {
    const results = evaluate(own, { ctstate: 'invalid', family, iif: 'eth0', socket: 'own' });
    return results.every((one) => one.result === 'passed' && one.path.ct === 'untracked' && one.path.noted);
  });
}

function isSame(before: RulesetSnapshot, now: RulesetSnapshot): boolean {
  return now.shape !== undefined && before.shape === now.shape;
}

/**
 * Verdicts depend on no counter: they stand, with the rules as they were read again.
 * @returns undefined where a rule is not found
 */
function carryVerdicts(
  families: Record<Family, FamilyCheck>,
  find: FindAgain,
): Record<Family, FamilyCheck> | undefined {
  let complete = true;
  const again = (location: RuleLocation): RuleLocation => {
    const found = find(location);
    complete &&= found !== undefined;
    return found ?? location;
  };
  const carryClass = (found: ClassVerdict): ClassVerdict => {
    const { mustPass: pass } = found;
    const mustPass = pass.holds === 'no' ? { ...pass, by: pass.by.map(again) } : pass;
    if (found.verdict === 'dropped') return { ...found, by: found.by.map(again), mustPass };
    return found.verdict === 'not dropped' && found.by
      ? { ...found, by: again(found.by), mustPass }
      : { ...found, mustPass };
  };
  const carryFamily = ({ status, classes, synproxy }: FamilyCheck): FamilyCheck => ({
    status,
    classes: Object.fromEntries(Object.entries(classes).map(([name, found]) => [name, carryClass(found)])),
    ...(synproxy && { synproxy: again(synproxy) }),
  });
  const carried = { ipv4: carryFamily(families.ipv4), ipv6: carryFamily(families.ipv6) };
  return complete ? carried : undefined;
}

/** Pure: the verdicts on one family from what was read. */
export function checkFamily(
  snapshot: RulesetSnapshot,
  family: Family,
  interfaces: string[],
  status: FamilyStatus,
  sockets: LocalSockets,
  work: WorkBudget = { left: MAX_WORK },
): FamilyCheck {
  const classes: FamilyCheck['classes'] = {};
  for (const name of interfaces) {
    const kind = name === 'lo' ? 'loopback' : 'external';
    const known = classes[kind];
    const drop = { ...judgeDrop(snapshot, family, name, sockets, work), interface: name };
    const worst = !known || badness(drop) > badness(known) ? drop : known;
    const mustPass = judgeOwn(snapshot, family, name, sockets, work);
    const noted = hasNotes(snapshot, family, name, sockets, work) && known?.noted !== false;
    classes[kind] = { ...worst, mustPass: worsePass(known?.mustPass, mustPass), noted };
  }
  const synproxy = findSynproxy(snapshot.ruleset, family);
  return { status, classes, ...(synproxy && { synproxy }) };
}

/** Listeners on specific addresses that are judged one by one. */
const MAX_JUDGED = 50;

/** The packets that must be dropped: one that meets no socket of its own, and one for each listener. */
function strayPackets(family: Family, iif: string, { listeners, addresses }: LocalSockets): Packet[] {
  const packet = { ctstate: 'invalid', family, iif, localAddresses: addresses[family] } as const;
  const atListeners = listeners[family]
    .slice(0, MAX_JUDGED)
    .map(
      ({ address, port }): Packet => ({ ...packet, socket: 'listener', destination: address, destinationPort: port }),
    );
  return [{ ...packet, socket: 'none' }, ...atListeners];
}

/** A packet of a connection that the pod opened. */
function ownPacket(family: Family, iif: string, { ephemeralPorts }: LocalSockets): Packet {
  return { ctstate: 'invalid', family, iif, socket: 'own', destinationPort: ephemeralPorts };
}

function judgeDrop(
  snapshot: RulesetSnapshot,
  family: Family,
  iif: string,
  sockets: LocalSockets,
  work: WorkBudget,
): Verdict {
  const readError = snapshot.readError[family];
  if (readError) return { verdict: 'unknown', reason: readError.message };
  const [first, ...others] = strayPackets(family, iif, sockets).map((packet): Verdict => {
    const verdict = judge(snapshot.ruleset, packet, work);
    if (verdict.verdict === 'dropped' || packet.socket === 'none') return verdict;
    return {
      ...verdict,
      reason: `at the listener on ${packet.destination}:${packet.destinationPort}: ${verdict.reason}`,
    };
  });
  const worst = others.reduce((known, one) => (badness(one) > badness(known) ? one : known), first as Verdict);
  const xtError = snapshot.xtError[family];
  if (worst.verdict !== 'unknown' || !xtError) return worst;
  return { verdict: 'unknown', reason: `${worst.reason}; ${xtError.message}` };
}

function judgeOwn(
  snapshot: RulesetSnapshot,
  family: Family,
  iif: string,
  sockets: LocalSockets,
  work: WorkBudget,
): PassVerdict {
  const readError = snapshot.readError[family];
  if (readError) return { holds: 'unknown', reason: readError.message };
  return judgePass(snapshot.ruleset, ownPacket(family, iif, sockets), work);
}

function hasNotes(
  snapshot: RulesetSnapshot,
  family: Family,
  iif: string,
  sockets: LocalSockets,
  work: WorkBudget,
): boolean {
  const [stray] = strayPackets(family, iif, sockets);
  return [stray as Packet, ownPacket(family, iif, sockets)].every((packet) => isNoted(snapshot.ruleset, packet, work));
}

function worsePass(known: PassVerdict | undefined, now: PassVerdict): PassVerdict {
  const order: PassVerdict['holds'][] = ['yes', 'unknown', 'no'];
  return known && order.indexOf(known.holds) >= order.indexOf(now.holds) ? known : now;
}

/** From best to worst. */
const BADNESS = ['dropped', 'flows without conntrack', 'unknown', 'not dropped'];

function badness(verdict: Verdict): number {
  return BADNESS.indexOf(
    isCovered(verdict) && verdict.verdict !== 'dropped' ? 'flows without conntrack' : verdict.verdict,
  );
}

/**
 * Whether the packets are dropped, all but those of flows that rules take out of conntrack on arrival: who writes such
 * rules wants neither NAT nor conntrack for them. Only on loopback, where OUTPUT may redirect them, does one meet a
 * socket that is not its own; the report tells.
 */
function isCovered(found: Verdict): boolean {
  return found.verdict === 'dropped' || found.untrackedOnly === true;
}

/** Whether every INVALID TCP packet of the family is dropped, on every interface, and none is needed. */
export function isFamilyGuarded({ classes, synproxy }: FamilyCheck): boolean {
  return !synproxy && Object.values(classes).every(isCovered);
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
      const { synproxy } = families[family];
      const found = families[family].classes[interfaceClass];
      if (found && synproxy) {
        const reason = errors.SYNPROXY_IN_USE(family, synproxy.rule?.text ?? '').message;
        return [{ family, interfaceClass, interface: found.interface, verdict: 'not dropped' as const, reason }];
      }
      if (!found || found.verdict === 'dropped' || isCovered(found)) return [];
      const { verdict, interface: name, reason } = found;
      return [{ family, interfaceClass, interface: name, verdict, reason }];
    }),
  );
}

/** Why an INVALID packet is not certain to be dropped: each reason once, with the families and interfaces. */
export function unguardedReasons(check: RulesetCheck): string[] {
  return reasonsWithPlaces(unguardedClasses(check));
}

/** Each reason once, with the families and interfaces that it holds for. */
function reasonsWithPlaces(found: { family: Family; interface: string; reason: string }[]): string[] {
  const places = new Map<string, string[]>();
  for (const { family, interface: name, reason } of found) {
    places.set(reason, [...(places.get(reason) ?? []), `${family} on ${name}`]);
  }
  return [...places].map(([reason, where]) => `${where.join(', ')}: ${reason}`);
}

/** The rules that drop INVALID packets of the family. The same rule may decide for several interfaces. */
export function droppingRules({ classes }: FamilyCheck): RuleLocation[] {
  return Object.values(classes).flatMap((found) => (found.verdict === 'dropped' ? found.by : []));
}

/** Present families and classes of interfaces on which a packet with a socket of its own may not reach it, and why. */
export function unsparedReasons({ families }: RulesetCheck): string[] {
  const present = FAMILIES.filter((family) => families[family].status.present);
  const unspared = present.flatMap((family) =>
    Object.values(families[family].classes).flatMap(({ interface: name, mustPass }) =>
      mustPass.holds === 'yes' ? [] : [{ family, interface: name, reason: mustPass.reason }],
    ),
  );
  return reasonsWithPlaces(unspared);
}

/** Whether the connections of stray segments are noted, on every interface of every present family. */
export function areStraysNoted({ families }: RulesetCheck): boolean {
  return FAMILIES.every(
    (family) => !families[family].status.present || Object.values(families[family].classes).every(({ noted }) => noted),
  );
}

/** Whether packets that have a socket of their own pass, and the connections of all stray segments are noted. */
export function isExempt(check: RulesetCheck): boolean {
  return unsparedReasons(check).length === 0 && areStraysNoted(check);
}

/** An answer with its reason, and the rules that decide it. */
export interface HeldReport {
  holds: 'yes' | 'no' | 'unknown';
  reason?: string;
  rules: RuleReference[];
}

export interface InterfaceReport {
  interface: string;
  /** An INVALID packet that would meet a socket that is not its own. */
  mustDrop: HeldReport;
  /** An INVALID packet that has a socket of its own. */
  mustPass: HeldReport;
  /** Whether connections with stray segments are noted, so that they can be rescued. */
  noted: boolean;
}
export type FamilyReport = { present: boolean; reason?: string; synproxy?: RuleReference } & Partial<
  Record<InterfaceClass, InterfaceReport>
>;

/**
 * Every family with the verdicts on each class of interfaces, and the rules that decide them. For /selfcheck and --once.
 */
export function describeFamilies({ families }: RulesetCheck): Record<Family, FamilyReport> {
  const entries = FAMILIES.map((family) => {
    const { status, classes, synproxy } = families[family];
    const reports = INTERFACE_CLASSES.flatMap((name) => {
      const verdict = classes[name];
      return verdict ? [[name, describeClass(verdict)]] : [];
    });
    const presence = status.present ? { present: true } : { present: false, reason: status.reason };
    return [family, { ...presence, ...(synproxy && { synproxy: referTo(synproxy) }), ...Object.fromEntries(reports) }];
  });
  return Object.fromEntries(entries);
}

const HELD = { dropped: 'yes', 'not dropped': 'no', unknown: 'unknown' } as const;

function describeClass(found: ClassVerdict): InterfaceReport {
  const { mustPass, noted } = found;
  const by = found.verdict === 'unknown' ? [] : [found.by ?? []].flat();
  const drop = { holds: HELD[found.verdict], rules: by.map(referTo) };
  const pass = { holds: mustPass.holds, rules: mustPass.holds === 'no' ? mustPass.by.map(referTo) : [] };
  return {
    interface: found.interface,
    mustDrop: found.verdict === 'dropped' ? drop : { ...drop, reason: found.reason },
    mustPass: mustPass.holds === 'yes' ? pass : { ...pass, reason: mustPass.reason },
    noted,
  };
}
