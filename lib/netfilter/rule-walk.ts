// Packets' ways through one rule.

import { conntrackHasRun } from './base-chains.ts';
import type { Action, Choice, Rule } from './model.ts';
import type { Packet } from './packet.ts';
import type { Context } from './walk.ts';
import { applyChange, type Change, type End, type Place, passBy, split, type Way } from './way.ts';

/** Walks a chain that the rule names: the ways that come back, or undefined where there is no such chain. */
export type Enter = (way: Way, chain: string) => Way[] | undefined;

/** Collects where the ways go. */
export class RuleWalk {
  /** Ways that go on to the next rule. */
  readonly next: Way[] = [];
  /** Ways that leave the chain for the one that jumped to it. */
  readonly returned: Way[] = [];
  private readonly context: Context;
  private readonly place: Place & { rule: Rule };
  private readonly enter: Enter;

  constructor(context: Context, place: Place & { rule: Rule }, enter: Enter) {
    this.context = context;
    this.place = place;
    this.enter = enter;
  }

  /** Walks the rule's steps from the one at `from`. */
  walk(way: Way, from: number): void {
    const step = this.place.rule.steps[from];
    if (!step) {
      this.next.push(way);
    } else if ('when' in step) {
      const { met, unmet } = split(this.context.journey.packet, way, step.when, this.place.rule);
      if (met) this.walk(met, from + 1);
      if (unmet) this.next.push(unmet);
    } else if ('choose' in step) {
      this.choose(way, step.choose, from);
    } else {
      this.act(way, step.act, from);
    }
  }

  private choose(way: Way, choices: Choice[], from: number): void {
    let left: Way | undefined = way;
    for (const { when, act } of choices) {
      if (!left) return;
      const { met, unmet }: ReturnType<typeof split> = split(this.context.journey.packet, left, when, this.place.rule);
      if (met) this.act(met, act, from);
      left = unmet;
    }
    if (left) this.next.push(left);
  }

  private act(way: Way, action: Action, from: number): void {
    const { context, place } = this;
    switch (action.do) {
      case 'drop':
        context.ends.push({ end: 'dropped', at: place, way });
        return;
      case 'reset':
        context.ends.push(resetBy(place, way, context.journey.packet));
        return;
      case 'unknown':
        this.giveUp(`"${action.text}" in rule "${place.rule.text}" is not known`);
        return;
      case 'accept':
        context.accepted.push(passBy(way, place));
        return;
      case 'return':
        this.returned.push(passBy(way, place));
        return;
      case 'continue':
        this.walk(way, from + 1);
        return;
      case 'jump':
        this.next.push(...this.enterOrGiveUp(way, action.chain));
        return;
      case 'goto':
        this.returned.push(...this.enterOrGiveUp(passBy(way, place), action.chain));
        return;
      default:
        this.change(passBy(way, place), action, from);
    }
  }

  private change(way: Way, action: Change, from: number): void {
    // Set after conntrack has run, a template stays, and the packet reads as one of a connection.
    if (action.do === 'template' && conntrackHasRun(this.context.base.hook) !== false) {
      this.giveUp(`rule "${this.place.rule.text}" sets a conntrack zone after conntrack has run`);
      return;
    }
    const changed = applyChange(way, action);
    if (action.do === 'tproxy' && action.ends) this.context.accepted.push(...changed);
    else for (const one of changed) this.walk(one, from + 1);
  }

  private enterOrGiveUp(way: Way, name: string): Way[] {
    const back = this.enter(way, name);
    if (!back) this.giveUp(`target "${name}" in rule "${this.place.rule.text}" is not known`);
    return back ?? [];
  }

  private giveUp(reason: string): void {
    this.context.ends.push({ end: 'unknown', reason });
  }
}

const RST = 4;

/** No reset is answered with a reset (nf_reject_ip_tcphdr_get, net/ipv4/netfilter/nf_reject_ipv4.c). */
function resetBy(at: Place, way: Way, { flags }: Packet): End {
  if (way.rewritten) return { end: 'unknown', reason: 'a rule rewrites the packet before it is rejected' };
  return { end: ((flags ?? 0) & RST) === 0 ? 'reset' : 'dropped', at, way };
}
