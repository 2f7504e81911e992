// Where the rules of prerouting hand a new connection: to a proxy by REDIRECT or TPROXY, elsewhere, or on to its port.

import { changeMark, toMark } from './mark.ts';
import type { Action, Chain, Comparison, Condition, Family, Hook, Rule, Ruleset, Table } from './model.ts';
import { type Moment, meets, type Packet } from './packet.ts';

/** `port` is the proxy's, where the rule tells it. */
export type HandedOver =
  | { to: 'REDIRECT' | 'TPROXY'; port?: number; table: string }
  | { to: 'itself' | 'nobody' }
  | { to: 'unknown'; reason: string };

/** Documentation addresses (RFC 5737, RFC 3849): a peer and a pod of which no rule speaks. */
const ADDRESSES = {
  ipv4: { source: '192.0.2.1', destination: '192.0.2.2' },
  ipv6: { source: '2001:db8::1', destination: '2001:db8::2' },
};
const MAX_DEPTH = 16;
/** What only a packet without a connection, or nobody at all, takes notice of. */
const PASSES = new Set<Action['do']>(['continue', 'rewrite', 'template']);

interface Walk {
  table: Table;
  packet: Packet;
  moment: Moment;
}
type Left = HandedOver | 'accepted' | undefined;

/**
 * Follows the first packet (SYN) of a connection from another host through all chains of prerouting.
 * @returns where it is handed; unknown where that depends on a match that is not understood
 */
export function followSyn(ruleset: Ruleset, family: Family, iif: string, port: number): HandedOver {
  const packet: Packet = { family, iif, sourcePort: 40_000, destinationPort: port, flags: 2, ...ADDRESSES[family] };
  const moment: Moment = { ct: 'invalid', mark: toMark(0), rewritten: false };
  for (const { table, chain } of preroutingChains(ruleset, family)) {
    const left = walkChain({ table, packet, moment }, chain, 0);
    if (left && left !== 'accepted') return left;
  }
  return { to: 'itself' };
}

function preroutingChains(ruleset: Ruleset, family: Family): { table: Table; chain: Chain; hook: Hook }[] {
  const own = family === 'ipv4' ? 'ip' : 'ip6';
  const tables = ruleset.filter((table) => table.dormant !== true && ['inet', own].includes(table.family));
  const chains = tables.flatMap((table) =>
    [...table.chains.values()].flatMap((chain) =>
      chain.hook?.name === 'prerouting' ? [{ table, chain, hook: chain.hook }] : [],
    ),
  );
  return chains.sort((a, b) => a.hook.priority - b.hook.priority);
}

/** @returns undefined where the chain is left at its end, or returned from */
function walkChain(walk: Walk, chain: Chain, depth: number): Left {
  if (depth > MAX_DEPTH) return { to: 'unknown', reason: `nested jumps in chain ${chain.name}` };
  for (const rule of chain.rules) {
    const left = walkRule(walk, rule, depth);
    if (left === 'returned') break;
    if (left) return left;
  }
  return chain.hook && chain.policy === 'drop' ? { to: 'nobody' } : undefined;
}

function walkRule(walk: Walk, rule: Rule, depth: number): Left | 'returned' {
  for (const step of rule.steps) {
    const choices = 'choose' in step ? step.choose : [];
    const chosen = choices.find(({ when }) => holds(walk, when) !== false);
    const when = 'when' in step ? step.when : chosen?.when;
    const holding = when && holds(walk, when);
    if (holding === undefined && when) return { to: 'unknown', reason: `depends on ${when.text}` };
    if ('when' in step && !holding) return undefined;
    const act = 'act' in step ? step.act : chosen?.act;
    const left = act && carryOut(walk, rule, act, depth);
    if (left) return left;
  }
  return undefined;
}

/** As a packet of a new connection meets it: `meets` is about packets that have none. */
function holds({ packet, moment }: Walk, condition: Condition): boolean | undefined {
  if ('constant' in condition) return condition.constant;
  if (condition.field === 'ctstate') return condition.oneOf.includes('new') !== condition.negate;
  if (condition.field === 'connection') return condition.oneOf.includes('some') !== condition.negate;
  return meets(packet, moment, condition satisfies Comparison);
}

function carryOut(walk: Walk, rule: Rule, act: Action, depth: number): Left | 'returned' {
  const table = `${walk.table.family} ${walk.table.name}`;
  switch (act.do) {
    case 'accept':
      return 'accepted';
    case 'return':
      return 'returned';
    case 'drop':
    case 'reset':
      return { to: 'nobody' };
    case 'tproxy':
      return { to: 'TPROXY', table, ...proxyPort(rule.text) };
    case 'mark':
      walk.moment.mark = changeMark(walk.moment.mark, act.change);
      return undefined;
    case 'jump':
    case 'goto': {
      const chain = walk.table.chains.get(act.chain);
      const left = chain && walkChain(walk, chain, depth + 1);
      return left ?? (act.do === 'goto' ? 'returned' : undefined);
    }
    default:
      if (PASSES.has(act.do)) return undefined;
      if (/-j REDIRECT|redirect( |$)/.test(rule.text)) return { to: 'REDIRECT', table, ...proxyPort(rule.text) };
      return { to: 'unknown', reason: `depends on "${rule.text}"` };
  }
}

/** As iptables-save prints it, or nft's JSON. */
function proxyPort(text: string): { port?: number } {
  const [, port] = text.match(/(?:--to-ports |--on-port |"port":)(\d+)/) ?? [];
  return port === undefined ? {} : { port: Number(port) };
}
