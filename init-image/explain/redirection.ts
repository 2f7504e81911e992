// What a mesh has done to the pod: how inbound connections come to its proxy, and which ports.
import type { Condition, Family, Rule, Ruleset, Value } from '../../lib/netfilter/model.ts';
import { followSyn, type HandedOver } from '../../lib/netfilter/redirect-target.ts';
import { cutPorts, joinPorts, type PortRange, portsText } from './port-ranges.ts';

export interface FamilyMesh {
  /** Without NAT (TPROXY) a stray segment finds its own connection; after NAT (REDIRECT) it does not. */
  mode: 'REDIRECT' | 'TPROXY' | 'REDIRECT and TPROXY' | 'none' | 'unknown';
  /** Why the mode is unknown, or unknown for some ports. */
  reason?: string;
  /** Whether the rules are those of Istio's native nftables mode (1.28 and later). */
  native: boolean;
  /** Ports of the proxy; Istio's is 15006. */
  proxyPorts: number[];
  redirected: PortRange[];
  excluded: PortRange[];
}

/** More ranges of ports are not followed: a mesh makes some tens. */
const MAX_RANGES = 1000;

/** @param iif an interface other than lo */
export function describeMesh(ruleset: Ruleset, family: Family, iif: string): FamilyMesh {
  const cut = cutPorts(comparedPorts(ruleset));
  if (cut.length > MAX_RANGES) {
    const reason = `the rules tell ${cut.length} ranges of ports apart`;
    return { mode: 'unknown', reason, native: false, proxyPorts: [], redirected: [], excluded: [] };
  }
  const ends = cut.map((range) => ({ range, end: followSyn(ruleset, family, iif, range.from) }));
  const having = (...to: HandedOver['to'][]) =>
    joinPorts(ends.flatMap(({ range, end }) => (to.includes(end.to) ? [range] : [])));
  const handed = ends.flatMap(({ end }) => ('table' in end ? [end] : []));
  const doubt = ends.map(({ end }) => end).find((end) => end.to === 'unknown');
  return {
    mode: modeOf(
      handed.map(({ to }) => to),
      doubt !== undefined,
    ),
    ...(doubt?.to === 'unknown' ? { reason: doubt.reason } : {}),
    native: handed.some(({ table }) => table.includes('istio-proxy-')),
    proxyPorts: [...new Set(handed.flatMap(({ port }) => port ?? []))],
    redirected: having('REDIRECT', 'TPROXY'),
    excluded: handed.length > 0 ? having('itself', 'nobody') : [],
  };
}

function modeOf(ways: string[], doubt: boolean): FamilyMesh['mode'] {
  const [redirect, tproxy] = [ways.includes('REDIRECT'), ways.includes('TPROXY')];
  if (redirect && tproxy) return 'REDIRECT and TPROXY';
  if (redirect) return 'REDIRECT';
  if (doubt) return 'unknown';
  return tproxy ? 'TPROXY' : 'none';
}

function comparedPorts(ruleset: Ruleset): Value[] {
  const rules = ruleset.flatMap(({ chains }) => [...chains.values()].flatMap((chain) => chain.rules));
  const conditions = rules.flatMap(conditionsOf);
  return conditions.flatMap((one) => ('field' in one && one.field === 'destinationPort' ? one.oneOf : []));
}

/** Every condition that a rule has. */
export function conditionsOf({ steps }: Rule): Condition[] {
  return steps.flatMap((step) => {
    if ('when' in step) return [step.when];
    return 'choose' in step ? step.choose.map(({ when }) => when) : [];
  });
}

/** One line for people. */
export function meshText(mesh: FamilyMesh): string {
  const { mode, native, proxyPorts, reason } = mesh;
  if (mode === 'none') return 'no rule redirects inbound connections';
  if (mode === 'unknown') return `cannot be told (${reason})`;
  const how = `${mode}${native ? " (Istio's native nftables)" : ''}`;
  const doubt = reason === undefined ? '' : `; some ports cannot be told: ${reason}`;
  return `${how} to ${proxyPorts.join(', ')}; ports redirected: ${portsText(mesh.redirected)}${doubt}`;
}
