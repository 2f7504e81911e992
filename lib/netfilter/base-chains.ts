// Base chains in the order in which the kernel calls them.
import {
  type Action,
  type BaseChainHook,
  type Chain,
  HOOKS,
  type HookName,
  isOfFamily,
  type Ruleset,
  type Step,
  type Table,
  tableName,
} from './model.ts';
import type { Packet } from './packet.ts';

/** Conntrack runs in prerouting at this priority (NF_IP_PRI_CONNTRACK), and takes templates off the packet. */
const CONNTRACK_PRIORITY = -200;

/** Undefined for chains at conntrack's own priority: the kernel does not list which of the two it calls first. */
export function conntrackHasRun({ name, priority }: BaseChainHook): boolean | undefined {
  if (name !== 'prerouting') return name === 'input';
  return priority === CONNTRACK_PRIORITY ? undefined : priority > CONNTRACK_PRIORITY;
}

/** A chain that the kernel calls at a hook. */
export interface BaseChain {
  table: Table;
  chain: Chain;
  hook: BaseChainHook;
  /** Why it is in doubt that the kernel calls the chain, if it is. */
  doubt?: string;
}

/** The base chains that the packet meets, in order; those in one group share hook and priority. */
export function baseChainsInOrder(ruleset: Ruleset, packet: Packet, lastHook: HookName): BaseChain[][] {
  const groups = new Map<string, BaseChain[]>();
  const met = ruleset
    .flatMap(baseChains)
    .filter(({ hook }) => HOOKS.indexOf(hook.name) <= HOOKS.indexOf(lastHook))
    .flatMap((base) => chainsMet(base, packet));
  for (const base of met.sort(byOrder)) {
    const key = `${base.hook.name} ${base.hook.priority}`;
    groups.set(key, [...(groups.get(key) ?? []), base]);
  }
  return [...groups.values()];
}

function baseChains(table: Table): BaseChain[] {
  if (table.dormant === true) return [];
  const doubt = table.dormant === 'maybe' ? { doubt: `flags of table "${tableName(table)}"` } : {};
  return [...table.chains.values()].flatMap((chain) =>
    chain.hook ? [{ table, chain, hook: chain.hook, ...doubt }] : [],
  );
}

/** The chain, if the packet meets it. */
function chainsMet(base: BaseChain, packet: Packet): BaseChain[] {
  const { table, chain, hook } = base;
  if (hook.nat && packet.ctstate === 'invalid') return [];
  if (hook.name !== 'ingress') return isOfFamily(table, packet.family) ? [base] : [];
  if (!hook.devices) return [{ ...base, doubt: `devices of ingress chain "${table.name} ${chain.name}"` }];
  return hook.devices.some((device) => isDevice(packet.iif, device)) ? [base] : [];
}

function isDevice(name: string, device: string): boolean {
  return device.endsWith('*') ? name.startsWith(device.slice(0, -1)) : name === device;
}

function byOrder(a: BaseChain, b: BaseChain): number {
  return HOOKS.indexOf(a.hook.name) - HOOKS.indexOf(b.hook.name) || a.hook.priority - b.hook.priority;
}

/** Orders of more chains than these are not evaluated. */
const MAX_PERMUTED = 4;

/**
 * Which of several chains at one priority runs first depends on the time of their registration, which the kernel does
 * not list. It does not matter where all that they do is to accept or drop.
 * @returns every order that may make a difference, or undefined where there are too many
 */
export function orders(group: BaseChain[]): BaseChain[][] | undefined {
  if (group.length === 1 || !group.some(({ table }) => orderMatters(table))) return [group];
  return group.length > MAX_PERMUTED ? undefined : permutations(group);
}

const ORDERLESS = new Set(['accept', 'drop', 'return', 'continue', 'note', 'alarm', 'jump', 'goto']);

function orderMatters(table: Table): boolean {
  const steps = [...table.chains.values()].flatMap((chain) => chain.rules.flatMap((rule) => rule.steps));
  return steps.some((step) => {
    if ('xt' in step) return step.xt.type !== 'match' || step.xt.name === 'socket';
    return 'when' in step ? false : actionsOf(step).some((act) => !ORDERLESS.has(act.do));
  });
}

function actionsOf(step: Extract<Step, { act: unknown } | { choose: unknown }>): Action[] {
  return 'choose' in step ? step.choose.map(({ act }) => act) : [step.act];
}

function permutations<T>(items: T[]): T[][] {
  if (items.length < 2) return [items];
  return items.flatMap((item, i) => permutations(items.toSpliced(i, 1)).map((rest) => [item, ...rest]));
}
