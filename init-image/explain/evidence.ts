// One sample of a pod's evidence: what its network namespace counts, and what its rules are.
import { CodedError } from '../../lib/errors.ts';
import { unguardedClasses } from '../../lib/netfilter/check-report.ts';
import type { Family } from '../../lib/netfilter/model.ts';
import { read, readEvidence, readInterfaces, readSnmp } from '../../lib/netfilter/proc.ts';
import { FAMILIES } from '../../lib/netfilter/programs.ts';
import { type Look, summarize, takeLook } from '../../lib/netfilter/ruleset-check.ts';
import type { Reading } from '../../lib/netfilter/ruleset-reader.ts';
import { addLook, emptyTally } from '../checker/drop-counters.ts';
import { findInvalidRules, type InvalidRule } from './invalid-rules.ts';
import { describeMesh, type FamilyMesh } from './redirection.ts';

/** Counters since the namespace was made; null where this kernel gives none. */
export interface Counters {
  kernelRelease: string;
  tcpBeLiberal: number | null;
  /** Connections that conntrack holds now. */
  conntrackEntries: number | null;
  conntrackInvalid: number | null;
  /** TCP segments with RST sent. */
  outRsts: number | null;
  /** Established connections that ended by a reset, sent or received (EstabResets, RFC 4022). */
  estabResets: number | null;
}

export interface Rules {
  result: 'guarded' | 'not guarded' | 'cannot tell';
  /** Where a packet is not dropped for sure, and why. */
  reasons: string[];
  /** Packets that the deciding rules have dropped; null where one of them keeps no count. */
  dropped: number | null;
  invalidRules: InvalidRule[];
  /** Families that the pod has. */
  mesh: Partial<Record<Family, FamilyMesh>>;
}

export interface Sample {
  /** Milliseconds since 1970. */
  at: number;
  counters: Counters;
  /** Or why the rules cannot be read. */
  rules: Rules | { unreadable: string };
}

/** @param readRules reads the ruleset; what it throws as CodedError becomes `unreadable` */
export async function takeSample(readRules: () => Promise<Reading>): Promise<Sample> {
  const rules = await takeLook(readRules).then(
    (look) => describeRules(look, readInterfaces()),
    (error: unknown) => {
      if (error instanceof CodedError) return { unreadable: `${error.code}: ${error.message}` };
      throw error;
    },
  );
  return { at: Date.now(), counters: readCounters(), rules };
}

/** Reads the counters; needs no privilege. */
export function readCounters(): Counters {
  const { kernelRelease, tcpBeLiberal, conntrackInvalid, tcpResetsSent } = readEvidence();
  const entries = read('/proc/sys/net/netfilter/nf_conntrack_count');
  return {
    kernelRelease,
    tcpBeLiberal,
    conntrackEntries: entries === undefined ? null : Number(entries),
    conntrackInvalid,
    outRsts: tcpResetsSent,
    estabResets: readSnmp(read('/proc/net/snmp'), 'Tcp', 'EstabResets'),
  };
}

/** Pure: what a look says of the rules. */
export function describeRules(look: Look, interfaces: string[]): Rules {
  const { ruleset, unreadable, unreadNat } = look.reading;
  const present = FAMILIES.filter((family) => look.families[family].presence.present);
  const external = interfaces.find((name) => name !== 'lo') ?? 'eth0';
  const mesh = present.map((family) => {
    const described = describeMesh(ruleset, family, external);
    const error = unreadable[family] ?? (described.mode === 'none' ? unreadNat[family] : undefined);
    return [family, error ? { ...described, mode: 'unknown', reason: error.message } : described];
  });
  return {
    result: summarize(look),
    reasons: reasonsOf(look),
    dropped: countDropped(look),
    invalidRules: findInvalidRules(ruleset),
    mesh: Object.fromEntries(mesh),
  };
}

/** Each reason once, with the places that it is about. */
function reasonsOf(look: Look): string[] {
  const places = new Map<string, string[]>();
  for (const { family, interface: name, reason } of unguardedClasses(look)) {
    places.set(reason, [...(places.get(reason) ?? []), `${family} on ${name}`]);
  }
  return [...places].map(([reason, where]) => `${reason} (${where.join(', ')})`);
}

/** How each family's inbound connections are handed over. */
export function meshModes({ mesh }: Rules): FamilyMesh['mode'][] {
  return Object.values(mesh).map(({ mode }) => mode);
}

function countDropped(look: Look): number | null {
  const verdicts = FAMILIES.flatMap((family) => Object.values(look.families[family].classes));
  const rules = verdicts.flatMap((verdict) => (verdict.verdict === 'dropped' ? verdict.by : []));
  if (rules.some(({ packets }) => packets === undefined)) return null;
  const { total } = addLook(emptyTally(), look);
  return total.ipv4.packets + total.ipv6.packets;
}
