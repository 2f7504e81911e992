// Where the rules of prerouting hand a new connection: to a proxy by REDIRECT or TPROXY, or on to its own port.
import { dependsOn, evaluate, type PathResult } from './evaluator.ts';
import { type Ruleset, tableName } from './model.ts';
import type { Family, Packet } from './packet.ts';

/** `port` is the proxy's, where the rule names it; `chain` is the rule's. */
export type RedirectTarget =
  | { to: 'REDIRECT' | 'TPROXY'; port?: number; table: string; chain: string }
  | { to: 'itself' | 'nobody' }
  /** `perhaps`: where it may be handed. */
  | { to: 'unknown'; reason: string; perhaps: ('REDIRECT' | 'TPROXY')[] };

/** Documentation addresses (RFC 5737, RFC 3849): a peer and a pod that no rule names. */
const ADDRESSES = {
  ipv4: { source: '192.0.2.1', destination: '192.0.2.2' },
  ipv6: { source: '2001:db8::1', destination: '2001:db8::2' },
};
const SYN = 2;

/**
 * Evaluates the first packet (SYN) of a connection from another host, up to the end of prerouting.
 * @param port of the destination; any where it is left out
 * @returns where it is handed; unknown where that depends on a match that is not understood
 */
export function findRedirectTarget(ruleset: Ruleset, family: Family, iif: string, port?: number): RedirectTarget {
  const segment = { sourcePort: 40_000, flags: SYN, mark: 0, ...(port !== undefined && { destinationPort: port }) };
  const packet: Packet = { ctstate: 'new', family, iif, ...segment };
  const found = targetFor(ruleset, { ...packet, ...ADDRESSES[family] });
  // A rule against spoofed addresses drops those of the documentation too.
  return found.to === 'nobody' ? targetFor(ruleset, packet) : found;
}

function targetFor(ruleset: Ruleset, packet: Packet): RedirectTarget {
  const results = evaluate(ruleset, packet, { lastHook: 'prerouting' });
  const targets = results.map(targetOf);
  const [first = { to: 'itself' }] = targets;
  const unknown = targets.flatMap((target) => (target.to === 'unknown' ? [target.reason] : []));
  if (unknown.length === 0 && targets.every((target) => isSame(target, first))) return first;
  const perhaps = targets.flatMap(({ to }) => (to === 'REDIRECT' || to === 'TPROXY' ? [to] : []));
  return { to: 'unknown', reason: unknown[0] ?? dependsOn(results), perhaps: [...new Set(perhaps)] };
}

function targetOf(one: PathResult): RedirectTarget {
  switch (one.result) {
    case 'redirected': {
      const port = one.port === undefined ? {} : { port: one.port };
      return { to: one.by, ...port, table: tableName(one.at.table), chain: one.at.chain.name };
    }
    case 'passed':
      return { to: 'itself' };
    case 'unknown':
      return { to: 'unknown', reason: one.reason, perhaps: [] };
    default:
      return { to: 'nobody' };
  }
}

function isSame(a: RedirectTarget, b: RedirectTarget): boolean {
  return a.to === b.to && ('table' in a && 'table' in b ? a.table === b.table && a.port === b.port : true);
}
