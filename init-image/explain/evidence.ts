// One sample of a pod's evidence: what its network namespace counts, and what its rules are.

import { addCheck, emptyDropCounters } from '../../lib/checker/drop-counters.ts';
import { CodedError } from '../../lib/errors.ts';
import { identityOf, type RuleReference, referTo } from '../../lib/netfilter/drop-rule.ts';
import { type Action, conditionsOf, type Rule, type Ruleset, type Table } from '../../lib/netfilter/model.ts';
import { FAMILIES, type Family } from '../../lib/netfilter/packet.ts';
import { readEvidence, readInterfaces, readSnmp } from '../../lib/netfilter/proc.ts';
import { readProcFile } from '../../lib/netfilter/proc-file.ts';
import {
  checkRuleset,
  droppingRules,
  isExempt,
  type RulesetCheck,
  summarize,
  unguardedReasons,
} from '../../lib/netfilter/ruleset-check.ts';
import type { RulesetSnapshot } from '../../lib/netfilter/ruleset-reader.ts';
import { describeRedirection, type FamilyRedirection } from './redirection.ts';
import type { StrayEvidence } from './stray-evidence.ts';

/** Counters since the namespace was made; null where this kernel gives none. */
export interface NamespaceCounters {
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

export interface RulesetEvidence {
  result: 'guarded' | 'not guarded' | 'cannot tell';
  /** Where a packet is not dropped for sure, and why. */
  reasons: string[];
  /** Packets that the deciding rules have dropped, as far as they count; null where none of them does. */
  dropped: number | null;
  invalidRules: InvalidRule[];
  /** Whether packets that have a socket of their own pass, and the connections of all stray segments are noted. */
  exempt: boolean;
  /** Families that the pod has. */
  mesh: Partial<Record<Family, FamilyRedirection>>;
}

export interface EvidenceSample {
  /** Milliseconds since 1970. */
  at: number;
  counters: NamespaceCounters;
  /** Or why the rules cannot be read. */
  rules: RulesetEvidence | { unreadable: string };
  strays: StrayEvidence;
}

/**
 * @param readRules reads the ruleset; what it throws as CodedError becomes `unreadable`
 * @param readStrays reads which connections had stray segments
 */
export async function takeSample(
  readRules: () => Promise<RulesetSnapshot>,
  readStrays: () => Promise<StrayEvidence>,
): Promise<EvidenceSample> {
  const rules = await checkRuleset(readRules).then(
    (check) => describeRuleset(check, readInterfaces()),
    (error: unknown) => {
      if (error instanceof CodedError) return { unreadable: `${error.code}: ${error.message}` };
      throw error;
    },
  );
  return { at: Date.now(), counters: readCounters(), rules, strays: await readStrays() };
}

/** Reads the counters; needs no privilege. */
export function readCounters(): NamespaceCounters {
  const { kernelRelease, tcpBeLiberal, conntrackInvalid, tcpResetsSent } = readEvidence();
  const entries = readProcFile('/proc/sys/net/netfilter/nf_conntrack_count');
  return {
    kernelRelease,
    tcpBeLiberal,
    conntrackEntries: entries === undefined ? null : Number(entries),
    conntrackInvalid,
    outRsts: tcpResetsSent,
    estabResets: readSnmp(readProcFile('/proc/net/snmp'), 'Tcp', 'EstabResets'),
  };
}

/** Pure: what a check says of the rules. */
export function describeRuleset(check: RulesetCheck, interfaces: string[]): RulesetEvidence {
  const { ruleset, readError, natError } = check.snapshot;
  const present = FAMILIES.filter((family) => check.families[family].status.present);
  const external = interfaces.find((name) => name !== 'lo') ?? 'eth0';
  const mesh = present.map((family) => {
    const redirection = describeRedirection(ruleset, family, external);
    const error = readError[family] ?? (redirection.mode === 'none' ? natError[family] : undefined);
    return [family, error ? { ...redirection, mode: 'unknown', reason: error.message } : redirection];
  });
  return {
    result: summarize(check),
    reasons: unguardedReasons(check),
    dropped: countDropped(check),
    invalidRules: findInvalidRules(ruleset),
    exempt: isExempt(check),
    mesh: Object.fromEntries(mesh),
  };
}

/** Whether NAT redirects inbound connections, or may do so. */
export function mayRedirect({ mesh }: RulesetEvidence): boolean {
  return Object.values(mesh).some(({ mode, perhaps }) => mode.startsWith('REDIRECT') || perhaps?.includes('REDIRECT'));
}

/** How each family's inbound connections are redirected. */
export function redirectionModes({ mesh }: RulesetEvidence): FamilyRedirection['mode'][] {
  return Object.values(mesh).map(({ mode }) => mode);
}

function countDropped(check: RulesetCheck): number | null {
  const locations = FAMILIES.flatMap((family) => droppingRules(check.families[family]));
  if (locations.length > 0 && locations.every(({ rule }) => rule?.packets === undefined)) return null;
  const { total } = addCheck(emptyDropCounters(), check);
  return total.ipv4.packets + total.ipv6.packets;
}

/** A rule that drops INVALID packets, whether or not they reach it. */
export interface InvalidRule extends RuleReference {
  /** The same in every sample of one network namespace. */
  identity: string;
}

/** Every rule that names INVALID and drops, or jumps to a chain that drops; with its own counters. */
export function findInvalidRules(ruleset: Ruleset): InvalidRule[] {
  return ruleset.flatMap((table) =>
    [...table.chains.values()].flatMap((chain) =>
      chain.rules.filter(namesInvalid).flatMap((rule): InvalidRule[] => {
        const dropper = rule.steps
          .flatMap((step) => ('act' in step ? [step.act] : []))
          .map((act) => dropperOf(act, table))[0];
        if (dropper === undefined) return [];
        const location = { table, chain, rule };
        const { owner } = referTo({ ...location, chain: dropper ?? chain });
        return [{ ...referTo(location), owner, identity: identityOf(location) }];
      }),
    ),
  );
}

function namesInvalid(rule: Rule): boolean {
  return conditionsOf(rule).some(
    (one) => 'field' in one && one.field === 'ctstate' && !one.negate && one.oneOf.includes('invalid'),
  );
}

/** Istio's rule jumps to a chain that only drops. @returns that chain; null for a rule that drops; else undefined */
function dropperOf(act: Action, table: Table) {
  if (act.do === 'drop') return null;
  const chain = act.do === 'jump' || act.do === 'goto' ? table.chains.get(act.chain) : undefined;
  return chain?.rules.some(({ steps }) => steps.some((step) => 'act' in step && step.act.do === 'drop'))
    ? chain
    : undefined;
}
