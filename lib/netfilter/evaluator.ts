// Evaluates a packet against a ruleset: base chains in order, rule by rule. Where a condition is undecidable both
// branches are traversed, so that the results are all that the packet can come to, and perhaps a few that it cannot.
import { type BaseChain, baseChainsInOrder, conntrackHasRun, orders } from './base-chains.ts';
import { divide, isChosen } from './field-domain.ts';
import {
  type Action,
  type Chain,
  type HookName,
  type Rule,
  type RuleLocation,
  type Ruleset,
  type Step,
  xtText,
} from './model.ts';
import { type Comparison, type Condition, changeMark, LOOPBACK, meets, type Packet, UNKNOWN_MARK } from './packet.ts';
import { acceptBy, assume, distinct, type Path, startingPath } from './path.ts';

/** How one path of the packet ends. */
export type PathResult =
  | { result: 'dropped' | 'reset'; at: RuleLocation; path: Path }
  /** Handed to a proxy; only a packet of a new connection is. `port` where the rule names one. */
  | { result: 'redirected'; by: 'REDIRECT' | 'TPROXY'; port?: number; at: RuleLocation; path: Path }
  | { result: 'passed'; path: Path }
  /** Without `path` where more than one came to it. */
  | { result: 'unknown'; reason: string; path?: Path };

export interface EvaluationOptions {
  /** Rules to evaluate as if they were not there. */
  without?: ReadonlySet<Rule>;
  /** Chains of later hooks are left out. */
  lastHook?: HookName;
  /** Of several evaluations together; without limit where it is left out. */
  work?: WorkBudget;
}

/** Steps that several evaluations may still take together: see MAX_WORK. Evaluations count it down. */
export interface WorkBudget {
  left: number;
}

/** Rules evaluated for one packet; a pod's ruleset has some tens. Rulesets can be made that take for ever. */
const BUDGET = 100_000;
/** The kernel allows far fewer nested jumps (NFT_JUMP_STACK_SIZE, xt stack). */
const MAX_DEPTH = 64;
const MAX_PATHS = 64;

/** What is the same for a whole evaluation. */
interface EvaluationContext {
  packet: Packet;
  without: ReadonlySet<Rule>;
  /** Rules that may still be evaluated. */
  budget: number;
  work: WorkBudget;
}

const TOO_MUCH_WORK = 'there are too many rules, interfaces and listeners to evaluate';

/** What traversing some chains gives: paths that go on to the next base chain, and paths that have ended. */
interface Traversal {
  paths: Path[];
  results: PathResult[];
}

/** @returns at least every result that the packet can come to */
export function evaluate(ruleset: Ruleset, packet: Packet, options: EvaluationOptions = {}): PathResult[] {
  const { without = new Set(), work = { left: Number.POSITIVE_INFINITY } } = options;
  if (work.left <= 0) return [{ result: 'unknown', reason: TOO_MUCH_WORK }];
  const context: EvaluationContext = { packet, without, budget: BUDGET, work };
  let paths = [startingPath(packet)];
  const results: PathResult[] = [];
  for (const group of baseChainsInOrder(ruleset, packet, options.lastHook ?? 'input')) {
    if (paths.length === 0) break;
    const traversals = orders(group)?.map((order) => traverseInOrder(context, order, paths)) ?? [tooManyOrders(group)];
    results.push(...traversals.flatMap((traversal) => traversal.results));
    paths = distinct(traversals.flatMap((traversal) => traversal.paths));
  }
  return [...results, ...paths.map(endOf)];
}

/** What the results depend on where they differ, in words. */
export function dependsOn(results: PathResult[]): string {
  const assumptions = results.flatMap((one) => one.path?.assumptions ?? []).map(({ text }) => text);
  const [first, ...rest] = [...new Set(assumptions)];
  if (!first) return 'depends on the order of chains at one priority';
  return `depends on ${first}${rest.length > 0 ? ` and ${rest.length} more` : ''}`;
}

/** A packet whose header was rewritten may be routed elsewhere, or be discarded: it is not known to pass. */
function endOf(path: Path): PathResult {
  return path.rewritten
    ? { result: 'unknown', reason: 'a rule rewrites the packet', path }
    : { result: 'passed', path };
}

// Base chains in order.

function tooManyOrders(group: BaseChain[]): Traversal {
  return { paths: [], results: [{ result: 'unknown', reason: `${group.length} chains share one priority` }] };
}

function traverseInOrder(context: EvaluationContext, chains: BaseChain[], arriving: Path[]): Traversal {
  const results: PathResult[] = [];
  let paths = arriving;
  for (const base of chains) {
    const traversals = paths
      .flatMap((path) => passConntrack(context, path, base))
      .map((path) => traverseBaseChain(context, base, path));
    results.push(...traversals.flatMap((traversal) => traversal.results));
    const { doubt } = base;
    const passing = traversals.flatMap((traversal) => traversal.paths);
    paths = distinct(doubt ? [...passing, ...paths.map((path) => assume(path, doubt, false))] : passing);
  }
  return { paths, results };
}

/** The packet as the chain meets it: conntrack takes a template off, and gives a new connection to its first packet. */
function passConntrack({ packet }: EvaluationContext, path: Path, { hook }: BaseChain): Path[] {
  const hasRun = conntrackHasRun(hook);
  if (hasRun === false) return [path];
  const tracked = { byFlow: false, ct: packet.ctstate === 'new' ? 'new' : 'none' } as const;
  const after: Path =
    path.ct === 'none' || path.ct === 'template' ? { ...path, ...tracked } : { ...path, byFlow: false };
  if (hasRun === undefined && packet.ctstate === 'new') return [path, after];
  return [hasRun ? after : { ...path, byFlow: false }];
}

/** Chains of type nat are left out for packets without a connection, as the kernel does. */
function traverseBaseChain(context: EvaluationContext, base: BaseChain, path: Path): Traversal {
  if (base.hook.nat && path.ct !== 'new') return { paths: [path], results: [] };
  const traversal = new ChainTraversal(context, base);
  const fallenThrough = traversal.traverse(base.chain, [path], 0);
  const { results, accepted } = traversal;
  if (base.chain.policy === 'accept') return { paths: [...accepted, ...fallenThrough], results };
  const at = { table: base.table, chain: base.chain };
  const dropped = fallenThrough.map((one) => ({ result: 'dropped' as const, at, path: one }));
  return { paths: accepted, results: [...results, ...dropped] };
}

// Rule by rule.

/** Where the paths of one rule go. */
interface RuleTraversal {
  location: Required<RuleLocation>;
  depth: number;
  /** Paths that go on to the next rule. */
  next: Path[];
  /** Paths that leave the chain for the one that jumped to it. */
  returned: Path[];
}

/** Traverses one base chain with the chains that it jumps to, and collects where paths go. */
class ChainTraversal {
  readonly accepted: Path[] = [];
  readonly results: PathResult[] = [];
  private readonly context: EvaluationContext;
  private readonly base: BaseChain;

  constructor(context: EvaluationContext, base: BaseChain) {
    this.context = context;
    this.base = base;
  }

  /** @returns paths that reach the end of the chain or return from it */
  traverse(chain: Chain, arriving: Path[], depth: number): Path[] {
    if (depth > MAX_DEPTH) return this.giveUp(`more than ${MAX_DEPTH} nested jumps in chain ${chain.name}`);
    let paths = arriving;
    const returned: Path[] = [];
    for (const rule of chain.rules) {
      if (paths.length === 0) break;
      if (this.context.without.has(rule)) continue;
      if (this.context.budget-- <= 0 || paths.length > MAX_PATHS)
        return this.giveUp('too many paths through the rules');
      this.context.work.left -= paths.length;
      if (this.context.work.left <= 0) return this.giveUp(TOO_MUCH_WORK);
      const out: RuleTraversal = { location: { table: this.base.table, chain, rule }, depth, next: [], returned: [] };
      for (const path of paths) {
        const unmet = this.conditionNotMet(rule, path);
        if (unmet) out.next.push(this.evaluated(path, unmet));
        else this.traverseSteps(out, path, 0);
      }
      returned.push(...out.returned);
      paths = distinct(out.next);
    }
    return distinct([...returned, ...paths]);
  }

  private traverseSteps(out: RuleTraversal, path: Path, from: number): void {
    const step = out.location.rule.steps[from];
    if (!step) {
      out.next.push(path);
    } else if ('when' in step) {
      const { met, unmet } = this.split(out, path, step.when);
      if (met) this.traverseSteps(out, met, from + 1);
      if (unmet) out.next.push(unmet);
    } else if ('choose' in step) {
      let left: Path | undefined = path;
      for (const { when, act } of step.choose) {
        const { met, unmet }: ReturnType<ChainTraversal['split']> = left ? this.split(out, left, when) : {};
        if (met) this.act(out, met, act, from);
        left = unmet;
      }
      if (left) out.next.push(left);
    } else if ('xt' in step) {
      const text = xtText(step.xt);
      if (step.xt.type !== 'match') {
        this.giveUpAt(out, path, text);
        return;
      }
      const what = `"${text}" in rule "${out.location.rule.text}"`;
      const met = { ...assume(path, what, true), byFlow: false };
      // Its options are not known, and one of them sets the mark (socket_match, net/netfilter/xt_socket.c).
      this.traverseSteps(out, step.xt.name === 'socket' ? { ...met, mark: UNKNOWN_MARK } : met, from + 1);
      out.next.push({ ...assume(path, what, false), byFlow: false });
    } else {
      this.act(out, path, step.act, from);
    }
  }

  /** Where the path goes by the condition; an undecidable one sends it both ways. */
  private split({ location }: RuleTraversal, path: Path, condition: Condition): { met?: Path; unmet?: Path } {
    const one = this.evaluated(path, condition);
    const holds = meets(this.context.packet, path, condition);
    if (holds !== undefined) return holds ? { met: one } : { unmet: one };
    const { met, unmet } = this.divideBy(path, condition) ?? { met: path.chosen, unmet: path.chosen };
    if (!met || !unmet) return { ...(met && { met: one }), ...(unmet && { unmet: one }) };
    const text = `"${condition.text}" in rule "${location.rule.text}"`;
    return { met: { ...assume(one, text, true), chosen: met }, unmet: { ...assume(one, text, false), chosen: unmet } };
  }

  /** A condition of the rule that no packet of the path meets: what the rule does else is of no interest. */
  private conditionNotMet({ steps }: Rule, path: Path): Condition | undefined {
    const isCondition = (step: Step) =>
      'xt' in step ? step.xt.type === 'match' && step.xt.name !== 'socket' : 'when' in step;
    const end = steps.findIndex((step) => !isCondition(step));
    const unmet = (end < 0 ? steps : steps.slice(0, end)).flatMap((step) =>
      'when' in step && this.isUnmet(path, step.when) ? [step.when] : [],
    );
    return unmet.find((condition) => dependsOnFlow(this.context.packet, condition)) ?? unmet[0];
  }

  private isUnmet(path: Path, condition: Condition): boolean {
    const holds = meets(this.context.packet, path, condition);
    if (holds !== undefined) return !holds;
    const divided = this.divideBy(path, condition);
    return divided !== undefined && divided.met === undefined;
  }

  private divideBy(path: Path, condition: Condition): ReturnType<typeof divide> {
    if (path.rewritten) return undefined;
    const comparison = 'redirected' in condition ? comparePorts(condition) : condition;
    if (!('field' in comparison) || !isChosen(comparison.field)) return undefined;
    const { field } = comparison;
    this.context.work.left -= (path.chosen[field]?.length ?? 1) + comparison.oneOf.length;
    return divide(this.context.packet, path.chosen, { ...comparison, field });
  }

  /** The path behind a condition, whether it holds or not. */
  private evaluated(path: Path, condition: Condition): Path {
    if (!path.byFlow || dependsOnFlow(this.context.packet, condition)) return path;
    return { ...path, byFlow: false };
  }

  private act(out: RuleTraversal, path: Path, action: Action, from: number): void {
    const { location } = out;
    switch (action.do) {
      case 'drop':
        this.results.push({ result: 'dropped', at: location, path });
        return;
      case 'reset':
        this.results.push(resetAt(location, path, this.context.packet));
        return;
      case 'synproxy':
      case 'unknown':
        this.giveUpAt(out, path, action.text);
        return;
      case 'accept':
        this.accepted.push(acceptBy(path, location));
        return;
      case 'return':
        out.returned.push(acceptBy(path, location));
        return;
      case 'continue':
      case 'alarm':
        this.traverseSteps(out, path, from + 1);
        return;
      case 'note':
        this.traverseSteps(out, { ...path, noted: true }, from + 1);
        return;
      case 'jump':
        out.next.push(...this.enter(out, path, action.chain));
        return;
      case 'goto':
        out.returned.push(...this.enter(out, acceptBy(path, location), action.chain));
        return;
      case 'redirect':
        // The kernel takes it in chains of type nat only (nft_redir_validate, xt_REDIRECT.c).
        if (path.ct !== 'new') this.giveUpAt(out, path, action.text);
        else this.results.push(redirectedBy('REDIRECT', location, path, action.port));
        return;
      case 'tproxy':
        if (this.context.packet.ctstate === 'new') {
          this.results.push(redirectedBy('TPROXY', location, path, action.port));
          return;
        }
        this.change(out, acceptBy(path, location), action, from);
        return;
      default:
        this.change(out, acceptBy(path, location), action, from);
    }
  }

  private change(out: RuleTraversal, path: Path, action: Change, from: number): void {
    // Set after conntrack has run, a template stays, and the packet reads as one of a connection.
    if (action.do === 'template' && conntrackHasRun(this.base.hook) !== false) {
      this.giveUp(`rule "${out.location.rule.text}" sets a conntrack zone after conntrack has run`, path);
      return;
    }
    const changed = applyChange(path, action);
    if (action.do === 'tproxy' && action.ends) this.accepted.push(...changed);
    else for (const one of changed) this.traverseSteps(out, one, from + 1);
  }

  private enter({ location, depth }: RuleTraversal, path: Path, name: string): Path[] {
    const chain = this.base.table.chains.get(name);
    if (chain) return this.traverse(chain, [path], depth + 1);
    return this.giveUp(`target "${name}" in rule "${location.rule.text}" is not known`, path);
  }

  private giveUpAt({ location }: RuleTraversal, path: Path, text: string): void {
    this.giveUp(`"${text}" in rule "${location.rule.text}" is not known`, path);
  }

  private giveUp(reason: string, path?: Path): [] {
    this.results.push({ result: 'unknown', reason, ...(path && { path }) });
    return [];
  }
}

function comparePorts({ redirected, text }: Extract<Condition, { redirected: unknown }>): Comparison {
  return { field: 'destinationPort', oneOf: [...redirected], negate: false, text };
}

/** Fields that are the same in every packet of a flow that arrives on one interface. */
const FLOW_FIELDS = new Set(['iif', 'protocol', 'family', 'source', 'destination', 'sourcePort', 'destinationPort']);

/**
 * Whether the condition, before conntrack has run, holds for all packets of a flow or for none. On loopback conntrack
 * has run in OUTPUT, and knows some of them.
 */
function dependsOnFlow({ iif }: Packet, condition: Condition): boolean {
  if ('field' in condition) {
    return condition.field === 'ctstate' ? iif !== LOOPBACK : FLOW_FIELDS.has(condition.field);
  }
  if ('withConnection' in condition) return iif !== LOOPBACK;
  return 'constant' in condition ? condition.constant !== undefined : 'redirected' in condition;
}

const RST = 4;

/** No reset is answered with a reset (nf_reject_ip_tcphdr_get, net/ipv4/netfilter/nf_reject_ipv4.c). */
function resetAt(at: RuleLocation, path: Path, { flags }: Packet): PathResult {
  if (path.rewritten) return { result: 'unknown', reason: 'a rule rewrites the packet before it is rejected', path };
  return { result: ((flags ?? 0) & RST) === 0 ? 'reset' : 'dropped', at, path };
}

function redirectedBy(by: 'REDIRECT' | 'TPROXY', at: RuleLocation, path: Path, port: number | undefined): PathResult {
  return { result: 'redirected', by, ...(port === undefined ? {} : { port }), at, path };
}

type Change = Extract<Action, { do: 'mark' | 'restore-mark' | 'notrack' | 'template' | 'rewrite' | 'tproxy' }>;

/** The paths after the change; more than one where xtables and nftables differ. */
function applyChange(path: Path, action: Change): Path[] {
  switch (action.do) {
    case 'rewrite':
      return [{ ...path, rewritten: true, byFlow: false }];
    case 'notrack':
      // A packet that has a template keeps it (xt_ct_target, nft_notrack_eval).
      if (path.ct === 'template') return [path];
      return [{ ...path, ct: 'untracked', untrackedFlow: path.untrackedFlow || (path.byFlow && path.ct === 'none') }];
    case 'template':
      // xt_ct_target leaves an untracked packet alone, nft_ct_set_zone_eval does not.
      return [...(path.ct === 'untracked' ? [path] : []), { ...path, ct: 'template', untrackedFlow: false }];
    case 'restore-mark':
      // Without a connection nothing is restored (connmark_tg, net/netfilter/xt_connmark.c).
      return [
        path.ct === 'none' || path.ct === 'untracked' ? path : { ...path, mark: changeMark(path.mark, undefined) },
      ];
    default:
      return [{ ...path, mark: changeMark(path.mark, action.change) }];
  }
}
