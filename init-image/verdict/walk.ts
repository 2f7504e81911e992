// A packet's way through the ruleset. Where a condition is "maybe" both ways are walked, so that what comes out is
// every end that the packet can come to, and perhaps a few that it cannot: never fewer.
import type { Action, Chain, Rule, Table } from '../ruleset/model.ts';
import { type Moment, meets, type Packet } from './packet.ts';

/** A rule and where it stands. */
export interface Place {
  table: Table;
  chain: Chain;
  /** Undefined for the chain's policy. */
  rule?: Rule;
}

/** One of the ways that the packet can take, up to a point. */
export interface Way extends Moment {
  /** Rules that let it pass by what stood behind them: ACCEPT, RETURN, TPROXY, NOTRACK. */
  passedBy: Place[];
  /** "Maybe" conditions that this way took as met or not met. */
  guesses: string[];
}

export type End =
  | { end: 'dropped'; at: Place; way: Way }
  | { end: 'reset'; at: Place; way: Way }
  | { end: 'escaped'; way: Way }
  | { end: 'unknown'; reason: string };

/** What the walk of one base chain gives: ways that go on to the next one, and ends. */
export interface Walked {
  ways: Way[];
  ends: End[];
}

/** The kernel allows far fewer nested jumps (NFT_JUMP_STACK_SIZE, xt stack). */
const MAX_DEPTH = 64;
const MAX_GUESSES = 3;

interface Context {
  packet: Packet;
  table: Table;
  /** Rules to walk as if they were not there. */
  without: Set<Rule>;
  accepted: Way[];
  ends: End[];
}

/** Walks one base chain. Ways that are alike in all that rules can see are walked once. */
export function walkBaseChain(packet: Packet, table: Table, chain: Chain, way: Way, without: Set<Rule>): Walked {
  const context: Context = { packet, table, without, accepted: [], ends: [] };
  const fallen = walkChain(context, chain, [way], 0);
  if (chain.policy === 'drop') {
    for (const end of fallen) context.ends.push({ end: 'dropped', at: { table, chain }, way: end });
    return { ways: context.accepted, ends: context.ends };
  }
  return { ways: [...context.accepted, ...fallen], ends: context.ends };
}

/** @returns ways that reach the end of the chain or return from it */
function walkChain(context: Context, chain: Chain, arriving: Way[], depth: number): Way[] {
  if (depth > MAX_DEPTH) {
    context.ends.push({ end: 'unknown', reason: `more than ${MAX_DEPTH} nested jumps in chain ${chain.name}` });
    return [];
  }
  let ways = arriving;
  const returned: Way[] = [];
  for (const rule of chain.rules) {
    if (ways.length === 0) break;
    if (context.without.has(rule)) continue;
    const walker = new RuleWalk(context, { table: context.table, chain, rule }, depth);
    for (const way of ways) walker.walk(way, 0);
    returned.push(...walker.returned);
    ways = distinct(walker.next);
  }
  return distinct([...returned, ...ways]);
}

/** One rule: collects where its ways go. */
class RuleWalk {
  readonly next: Way[] = [];
  readonly returned: Way[] = [];
  private readonly context: Context;
  private readonly place: Place & { rule: Rule };
  private readonly depth: number;

  constructor(context: Context, place: Place & { rule: Rule }, depth: number) {
    this.context = context;
    this.place = place;
    this.depth = depth;
  }

  walk(way: Way, from: number): void {
    const step = this.place.rule.steps[from];
    if (!step) {
      this.next.push(way);
    } else if ('when' in step) {
      const { met, unmet } = split(this.context.packet, way, step.when, this.place.rule);
      if (met) this.walk(met, from + 1);
      if (unmet) this.next.push(unmet);
    } else if ('choose' in step) {
      this.choose(way, step.choose, from);
    } else {
      this.act(way, step.act, from);
    }
  }

  private choose(way: Way, choices: { when: Parameters<typeof split>[2]; act: Action }[], from: number): void {
    let left: Way | undefined = way;
    for (const { when, act } of choices) {
      if (!left) return;
      const { met, unmet }: { met?: Way; unmet?: Way } = split(this.context.packet, left, when, this.place.rule);
      if (met) this.act(met, act, from);
      left = unmet;
    }
    if (left) this.walk(left, from + 1);
  }

  private act(way: Way, action: Action, from: number): void {
    const { context, place } = this;
    const passed = { ...way, passedBy: [...way.passedBy, place] };
    switch (action.do) {
      case 'drop':
        context.ends.push({ end: 'dropped', at: place, way });
        return;
      case 'reset':
        context.ends.push({ end: 'reset', at: place, way });
        return;
      case 'unknown':
        context.ends.push({ end: 'unknown', reason: `"${action.text}" in rule "${place.rule.text}" is not known` });
        return;
      case 'accept':
        context.accepted.push(passed);
        return;
      case 'return':
        this.returned.push(passed);
        return;
      case 'continue':
        this.next.push(way);
        return;
      case 'jump':
        this.next.push(...this.enter(way, action.chain));
        return;
      case 'goto':
        this.returned.push(...this.enter(way, action.chain));
        return;
      case 'tproxy':
        if (action.ends) context.accepted.push(passed);
        else this.walk(passed, from + 1);
        return;
      default:
        this.walk(change(way, passed, action), from + 1);
    }
  }

  private enter(way: Way, name: string): Way[] {
    const chain = this.context.table.chains.get(name);
    if (chain) return walkChain(this.context, chain, [way], this.depth + 1);
    const reason = `target "${name}" in rule "${this.place.rule.text}" is not known`;
    this.context.ends.push({ end: 'unknown', reason });
    return [];
  }
}

function change(
  way: Way,
  passed: Way,
  action: Extract<Action, { do: 'mark' | 'notrack' | 'template' | 'rewrite' }>,
): Way {
  if (action.do === 'rewrite') return { ...way, rewritten: true };
  // A packet that is no longer INVALID passes by every rule that drops INVALID ones.
  if (action.do === 'notrack') return { ...passed, ct: 'untracked' };
  if (action.do === 'template') return { ...way, ct: 'template' };
  return { ...way, mark: changeMark(way.mark, action.and, action.xor) };
}

function changeMark(old: number | undefined, and: number, xor: number): number | undefined {
  if (Number.isNaN(xor)) return undefined;
  if (and === 0) return xor;
  return old === undefined ? undefined : ((old & and) ^ xor) >>> 0;
}

function split(
  packet: Packet,
  way: Way,
  condition: Parameters<typeof meets>[2],
  rule: Rule,
): { met?: Way; unmet?: Way } {
  const holds = meets(packet, way, condition);
  if (holds === true) return { met: way };
  if (holds === false) return { unmet: way };
  const guess = `"${condition.text}" in rule "${rule.text}"`;
  const guesses = way.guesses.includes(guess) ? way.guesses : [...way.guesses, guess].slice(0, MAX_GUESSES);
  return { met: { ...way, guesses }, unmet: { ...way, guesses } };
}

/** Of ways that rules cannot tell apart the first one stays. */
export function distinct(ways: Way[]): Way[] {
  const seen = new Map<string, Way>();
  for (const way of ways) {
    const key = `${way.ct} ${way.mark} ${way.rewritten}`;
    if (!seen.has(key)) seen.set(key, way);
  }
  return [...seen.values()];
}
