// What becomes of an INVALID TCP packet: the question that this project exists to answer. One that would meet a socket
// that is not its own must be dropped; one that has a socket of its own must pass.

import { describeChoice, findEscape } from './escaping-packet.ts';
import { dependsOn, evaluate, type PathResult, type WorkBudget } from './evaluator.ts';
import type { Rule, RuleLocation, Ruleset } from './model.ts';
import { LOOPBACK, type Packet } from './packet.ts';

export type Verdict =
  /**
   * It never reaches a socket; `by` is every rule that can be the one that drops it. None where rules take all flows out
   * of conntrack, so that there is no such packet.
   */
  | { verdict: 'dropped'; by: RuleLocation[] }
  /** It reaches a socket, or is answered with a reset; `by` is the rule that lets it pass, if there is one. */
  | { verdict: 'not dropped'; by?: RuleLocation; reason: string; untrackedOnly?: true }
  /** `untrackedOnly`: all packets are dropped but those of flows that rules take out of conntrack. */
  | { verdict: 'unknown'; reason: string; untrackedOnly?: true };

const unlimited = (): WorkBudget => ({ left: Number.POSITIVE_INFINITY });

/**
 * Says what becomes of a packet that conntrack has marked INVALID. `dropped` holds for every packet that the description
 * fits, `not dropped` for at least one that a sender can choose, and says for which; where neither is certain, for a rule
 * is not understood, the verdict is `unknown` and says why. The rule that `not dropped` names is the one without which
 * the packet would be dropped.
 */
export function judge(ruleset: Ruleset, packet: Packet, work: WorkBudget = unlimited()): Verdict {
  const results = evaluate(ruleset, packet, { work });
  const tracked = results.filter(isTracked);
  const untrackedOnly = tracked.length < results.length && allDropped(tracked);
  if (packet.iif !== LOOPBACK) return judgeResults(ruleset, packet, tracked, work);
  const told = judgeResults(ruleset, packet, results, work);
  return told.verdict === 'dropped' || !untrackedOnly ? told : { ...told, untrackedOnly };
}

/**
 * What NOTRACK takes out of conntrack by its flow has no NAT and is never INVALID: its socket is its own. On loopback,
 * packets are tracked in OUTPUT, where NAT may redirect them; only those that are INVALID there meet NOTRACK in
 * prerouting.
 */
function isTracked({ path }: PathResult): boolean {
  return path === undefined || !path.untrackedFlow;
}

function judgeResults(ruleset: Ruleset, packet: Packet, results: PathResult[], work: WorkBudget): Verdict {
  const told = judgeAlike(ruleset, packet, results, work);
  if (told.verdict !== 'unknown') return told;
  const counts = packet.iif === LOOPBACK ? () => true : isTracked;
  const found = findEscape(ruleset, packet, results, counts, work);
  const one = found && judgeAlike(ruleset, found.packet, found.results, work);
  if (one?.verdict !== 'not dropped') return told;
  const which = found && describeChoice(packet, found);
  return { ...one, reason: which ? `${one.reason}, for packets such as one ${which}` : one.reason };
}

/** Where some packets are dropped and others are not, the verdict is `unknown`. */
function judgeAlike(ruleset: Ruleset, packet: Packet, results: PathResult[], work: WorkBudget): Verdict {
  const unknown = results.find(({ result }) => result === 'unknown');
  if (unknown?.result === 'unknown') return { verdict: 'unknown', reason: unknown.reason };
  const drops = results.flatMap((one) => (one.result === 'dropped' ? [one.at] : []));
  if (drops.length === results.length) return { verdict: 'dropped', by: distinctLocations(drops) };
  if (drops.length > 0) return { verdict: 'unknown', reason: dependsOn(results) };
  const reset = results.find(({ result }) => result === 'reset');
  if (reset?.result === 'reset') return { verdict: 'not dropped', by: reset.at, reason: 'answered with a TCP reset' };
  const by = findBypassingRule(ruleset, packet, results, work);
  if (!by) return { verdict: 'not dropped', reason: 'no rule drops INVALID TCP packets' };
  return { verdict: 'not dropped', by, reason: `accepted by "${by.rule?.text}"` };
}

/** Whether an INVALID packet with a socket of its own reaches it. `by` is every rule that keeps it away. */
export type PassVerdict =
  | { holds: 'yes' }
  | { holds: 'no'; reason: string; by: RuleLocation[] }
  | { holds: 'unknown'; reason: string };

/**
 * Says whether an INVALID packet that has a socket of its own reaches it. `yes` and `no` hold for every packet that the
 * description fits.
 * @param packet with `socket: 'own'`
 */
export function judgePass(ruleset: Ruleset, packet: Packet, work: WorkBudget = unlimited()): PassVerdict {
  const results = evaluate(ruleset, packet, { work });
  const unknown = results.find(({ result }) => result === 'unknown');
  if (unknown?.result === 'unknown') return { holds: 'unknown', reason: unknown.reason };
  const stopped = results.flatMap((one) => (one.result === 'dropped' || one.result === 'reset' ? [one.at] : []));
  if (stopped.length === 0) return { holds: 'yes' };
  if (stopped.length < results.length) return { holds: 'unknown', reason: dependsOn(results) };
  const by = distinctLocations(stopped);
  const [first] = by;
  const rule = first?.rule?.text ?? `policy ${first?.chain.policy} of chain ${first?.chain.name}`;
  return { holds: 'no', by, reason: `dropped by "${rule}"` };
}

/** Whether the rules note the connection of every packet that the description fits, and that conntrack knows of. */
export function isNoted(ruleset: Ruleset, packet: Packet, work: WorkBudget = unlimited()): boolean {
  const tracked = evaluate(ruleset, packet, { work }).filter(isTracked);
  return tracked.every((one) => one.result !== 'unknown' && one.path.noted);
}

/** Rules that are taken out together before the search is given up. */
const MAX_REMOVED = 20;

/**
 * Takes rules that let the packet pass out of the ruleset until it would be dropped, and puts back those that make no
 * difference.
 * @param results of the packet with all rules: none is a drop
 * @returns the rule without which the packet would be dropped (of several that are needed, the one it meets first), or
 *   undefined where no rule would drop it
 */
function findBypassingRule(
  ruleset: Ruleset,
  packet: Packet,
  results: PathResult[],
  work: WorkBudget,
): RuleLocation | undefined {
  const evaluateWithout = (places: RuleLocation[]) => evaluate(ruleset, packet, { without: rulesOf(places), work });
  let removed: RuleLocation[] = [];
  for (let now = results; !allDropped(now); now = evaluateWithout(removed)) {
    const gone = rulesOf(removed);
    const next = now.flatMap(acceptedBy).find(({ rule }) => rule && !gone.has(rule));
    if (!next || removed.length === MAX_REMOVED) return undefined;
    removed.push(next);
  }
  for (const location of [...removed]) {
    const others = removed.filter((one) => one !== location);
    if (allDropped(evaluateWithout(others))) removed = others;
  }
  return removed[0];
}

function allDropped(results: PathResult[]): boolean {
  return results.every(({ result }) => result === 'dropped');
}

function acceptedBy(one: PathResult): RuleLocation[] {
  return one.result === 'passed' ? one.path.acceptedBy : [];
}

function rulesOf(locations: RuleLocation[]): Set<Rule> {
  return new Set(locations.flatMap(({ rule }) => rule ?? []));
}

/** Each rule, and each chain's policy, once. */
function distinctLocations(locations: RuleLocation[]): RuleLocation[] {
  return [...new Map(locations.map((location) => [location.rule ?? location.chain, location])).values()];
}
