// What becomes of an INVALID TCP packet: the question that this project exists to answer.
import type { Chain, Rule, Ruleset, Table } from '../ruleset/model.ts';
import { HOOKS } from '../ruleset/model.ts';
import type { Packet } from './packet.ts';
import { distinct, type End, type Place, type Way, walkBaseChain } from './walk.ts';

/** A rule, or a chain's policy, as a report names it. */
export interface RuleReference {
  backend: Table['backend'];
  /** Family and name, such as `ip mangle`. */
  table: string;
  chain: string;
  rule: string;
  /** Its counters, where it has any. */
  packets?: number;
  bytes?: number;
}

export type Verdict =
  /** It never reaches a socket; `by` is every rule that can be the one that drops it. */
  | { verdict: 'dropped'; by: RuleReference[] }
  /** It reaches a socket, or is answered with a reset; `by` is the rule that let it pass, if there is one. */
  | { verdict: 'escapes'; by?: RuleReference; reason: string }
  | { verdict: 'unknown'; reason: string };

/**
 * Conntrack runs at -200 (NF_IP_PRI_CONNTRACK), and drops its template there.
 */
const CONNTRACK_PRIORITY = -200;
const MAX_ORDERS = 3;

interface BaseChain {
  table: Table;
  chain: Chain;
  hook: NonNullable<Chain['hook']>;
}

/**
 * Says what becomes of a packet that conntrack has marked INVALID. Both `dropped` and `escapes` hold for every
 * packet that the description fits; if they differ among themselves, or a rule is not understood, the answer is
 * `unknown` and says why. Chains of type nat are passed by, as the kernel does for such a packet.
 */
export function judge(ruleset: Ruleset, packet: Packet): Verdict {
  const verdict = summarize(walk(ruleset, packet, new Set()));
  return verdict.verdict === 'escapes' && !verdict.by ? blame(ruleset, packet, verdict) : verdict;
}

/** Finds the rule without which the packet would have been dropped. */
function blame(ruleset: Ruleset, packet: Packet, verdict: Verdict & { verdict: 'escapes' }): Verdict {
  const without = new Set<Rule>();
  let first: Place | undefined;
  for (let tries = 0; tries < 10; tries++) {
    const ends = walk(ruleset, packet, without);
    if (first && ends.every(({ end }) => end === 'dropped')) {
      return { verdict: 'escapes', by: refer(first), reason: `passed by "${first.rule?.text}"` };
    }
    const places = ends.flatMap((end) => (end.end === 'escaped' ? end.way.passedBy : []));
    const [next] = places.filter(({ rule }) => rule && !without.has(rule));
    if (!next?.rule) return verdict;
    first ??= next;
    without.add(next.rule);
  }
  return verdict;
}

function walk(ruleset: Ruleset, packet: Packet, without: Set<Rule>): End[] {
  let ways: Way[] = [{ ct: 'invalid', mark: packet.mark, rewritten: false, passedBy: [], guesses: [] }];
  const ends: End[] = [];
  for (const group of stations(ruleset, packet)) {
    const walked = orders(group).map((order) => walkInOrder(order, packet, ways, without));
    ends.push(...walked.flatMap((result) => result.ends));
    ways = distinct(walked.flatMap((result) => result.ways));
    if (walked.length === 0) {
      ends.push({ end: 'unknown', reason: `${group.length} chains that change packets share one priority` });
    }
  }
  return [...ends, ...ways.map((way) => ({ end: 'escaped' as const, way }))];
}

function walkInOrder(chains: BaseChain[], packet: Packet, arriving: Way[], without: Set<Rule>) {
  const ends: End[] = [];
  let ways = arriving;
  for (const { table, chain, hook } of chains) {
    const tracked = hook.name !== 'ingress' && hook.priority > CONNTRACK_PRIORITY;
    const walked = ways
      .map((way) => (tracked && way.ct === 'template' ? { ...way, ct: 'invalid' as const } : way))
      .map((way) => walkBaseChain(packet, table, chain, way, without));
    ends.push(...walked.flatMap((result) => result.ends));
    const passing = walked.flatMap((result) => result.ways);
    ways = distinct(table.dormant === 'maybe' ? [...passing, ...ways.map(guessDormant(table))] : passing);
  }
  return { ends, ways };
}

function guessDormant(table: Table) {
  return (way: Way): Way => ({ ...way, guesses: [...way.guesses, `flags of table "${table.family} ${table.name}"`] });
}

/** Base chains that the packet meets, in order; those in one group share hook and priority. */
function stations(ruleset: Ruleset, packet: Packet): BaseChain[][] {
  const groups = new Map<string, BaseChain[]>();
  for (const base of ruleset
    .flatMap(baseChains)
    .filter((candidate) => applies(candidate, packet))
    .sort(byOrder)) {
    const key = `${base.hook.name} ${base.hook.priority}`;
    groups.set(key, [...(groups.get(key) ?? []), base]);
  }
  return [...groups.values()];
}

function baseChains(table: Table): BaseChain[] {
  if (table.dormant === true) return [];
  return [...table.chains.values()].flatMap((chain) => (chain.hook ? [{ table, chain, hook: chain.hook }] : []));
}

function applies({ table, hook }: BaseChain, packet: Packet): boolean {
  if (hook.nat) return false;
  if (hook.name === 'ingress') return hook.devices?.includes(packet.iif) ?? false;
  return table.family === 'inet' || table.family === (packet.family === 'ipv4' ? 'ip' : 'ip6');
}

function byOrder(a: BaseChain, b: BaseChain): number {
  return HOOKS.indexOf(a.hook.name) - HOOKS.indexOf(b.hook.name) || a.hook.priority - b.hook.priority;
}

/**
 * Which of several chains at one priority runs first depends on the time of their registration, which no listing
 * shows. It matters only where one of them changes what another sees: then all orders are walked.
 */
function orders(group: BaseChain[]): BaseChain[][] {
  if (group.length === 1 || !group.some(({ table }) => changesPackets(table))) return [group];
  return group.length > MAX_ORDERS ? [] : permutations(group);
}

function changesPackets(table: Table): boolean {
  const changes = new Set(['mark', 'notrack', 'template', 'rewrite']);
  const steps = [...table.chains.values()].flatMap((chain) => chain.rules.flatMap((rule) => rule.steps));
  return steps.some((step) => 'act' in step && changes.has(step.act.do));
}

function permutations<T>(items: T[]): T[][] {
  if (items.length < 2) return [items];
  return items.flatMap((item, i) => permutations(items.toSpliced(i, 1)).map((rest) => [item, ...rest]));
}

function summarize(ends: End[]): Verdict {
  const unknown = ends.find((end) => end.end === 'unknown');
  if (unknown) return { verdict: 'unknown', reason: unknown.reason };
  const known = ends.filter((end) => end.end !== 'unknown');
  const drops = known.filter((end) => end.end === 'dropped');
  const reset = known.find((end) => end.end === 'reset');
  if (drops.length === known.length)
    return { verdict: 'dropped', by: distinctRules(drops.map((end) => refer(end.at))) };
  if (drops.length > 0) return { verdict: 'unknown', reason: dependsOn(known.flatMap((end) => end.way.guesses)) };
  if (reset) return { verdict: 'escapes', by: refer(reset.at), reason: 'answered with a TCP reset' };
  return { verdict: 'escapes', reason: 'no rule drops INVALID TCP packets' };
}

function dependsOn(guesses: string[]): string {
  const [first, ...rest] = [...new Set(guesses)];
  if (!first) return 'depends on the order of chains at one priority';
  return `depends on ${first}${rest.length > 0 ? ` and ${rest.length} more` : ''}`;
}

function refer({ table, chain, rule }: Place): RuleReference {
  const counters = rule?.packets === undefined ? {} : { packets: rule.packets, bytes: rule.bytes ?? 0 };
  const text = rule?.text ?? `policy ${chain.policy}`;
  return { backend: table.backend, table: `${table.family} ${table.name}`, chain: chain.name, rule: text, ...counters };
}

function distinctRules(rules: RuleReference[]): RuleReference[] {
  return [...new Map(rules.map((rule) => [JSON.stringify(rule), rule])).values()];
}
