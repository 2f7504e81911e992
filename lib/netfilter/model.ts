// A ruleset as plain data, the same for iptables-legacy, iptables-nft and native nftables.
import type { Condition, Family, MarkChange } from './packet.ts';

/** The hooks that a packet for this host passes, in their order. */
export const HOOKS = ['ingress', 'prerouting', 'input'] as const;
export type HookName = (typeof HOOKS)[number];

/** Where a base chain is attached. */
export interface BaseChainHook {
  name: HookName;
  /** Lower runs first; conntrack itself is at -200 (include/uapi/linux/netfilter_ipv4.h). */
  priority: number;
  /** Chains of type nat only see packets with a connection (nf_nat_inet_fn in net/netfilter/nf_nat_core.c). */
  nat: boolean;
  /** Devices of an ingress chain. */
  devices?: string[];
}

export type Backend = 'legacy' | 'nft';

export interface Table {
  backend: Backend;
  family: 'ip' | 'ip6' | 'inet' | 'netdev';
  name: string;
  /** A dormant nft table is listed in full but none of its chains is called. */
  dormant: boolean | 'maybe';
  chains: Map<string, Chain>;
}

/** The family of tables that only packets of this family meet. */
export function tableFamilyOf(family: Family): 'ip' | 'ip6' {
  return family === 'ipv4' ? 'ip' : 'ip6';
}

/** Whether packets of the family meet the table, at other hooks than ingress. */
export function isOfFamily({ family: own }: Pick<Table, 'family'>, family: Family): boolean {
  return own === 'inet' || own === tableFamilyOf(family);
}

export interface Chain {
  name: string;
  /** Base chains have one. */
  hook?: BaseChainHook;
  policy: 'accept' | 'drop';
  rules: Rule[];
}

export interface Rule {
  /** As its own tool prints it. For people: nothing is decided from it. */
  text: string;
  /** Identifies the rule in its chain: nft's handle, or what iptables itself finds the rule by, which is all of it. */
  id: string;
  steps: Step[];
  /** Options of a rule that iptables-save prints, -j and what follows it among them. */
  options?: IptablesOption[];
  packets?: number;
  bytes?: number;
}

/** An option as iptables-save prints it: `! --dport 80` is {flag: '--dport', negate: true, values: ['80']}. */
export interface IptablesOption {
  flag: string;
  negate: boolean;
  values: string[];
}

/** A rule is evaluated step by step; a condition that does not hold, or no choice that fits, ends it. */
export type Step = { when: Condition } | { act: Action } | { choose: Choice[] } | { xt: XtExpression };

export interface Choice {
  when: Condition;
  act: Action;
}

/**
 * An xt compat expression: an iptables extension in an nft rule. nft prints its type (match or target) and name, or
 * neither (nft 0.9.8). A match that is not resolved is undecidable; any other may do anything.
 */
export interface XtExpression {
  type?: string;
  name?: string;
}

/** An xt compat expression as text for people. */
export function xtText({ type, name }: { type?: unknown; name?: unknown }): string {
  return type === undefined ? 'xt without a name' : `xt ${type} ${name}`;
}

export type Action =
  | { do: 'accept' | 'drop' | 'return' | 'continue' }
  | { do: 'jump' | 'goto'; chain: string }
  /** Without `change` the new mark is not known. */
  | { do: 'mark'; change?: MarkChange }
  /** The connection's mark becomes the packet's. */
  | { do: 'restore-mark' }
  /** The packet becomes UNTRACKED. */
  | { do: 'notrack' }
  /** `-j CT` other than --notrack, `ct zone set`: until conntrack runs, the packet's state is that of a template. */
  | { do: 'template' }
  /** The packet's addresses, ports or flags are rewritten, or whether it is for this host. */
  | { do: 'rewrite' }
  /** The destination becomes a port of this host. Without `port` it is the packet's own, or not known. */
  | { do: 'redirect'; port?: number; text: string }
  /**
   * The packet is handed to a proxy's transparent socket, which is assumed to exist. `ends` says whether the chain ends
   * with it (iptables) or goes on (nft).
   */
  | { do: 'tproxy'; ends: boolean; change: MarkChange; port?: number }
  /** Answered with a TCP reset: the very harm that a drop prevents. */
  | { do: 'reset' }
  /** A connection's first packets are answered in place of its socket (net/netfilter/nf_synproxy_core.c). */
  | { do: 'synproxy'; text: string }
  /** This program does not know what it does. */
  | { do: 'unknown'; text: string }
  /** The packet's connection is noted in a set of the exemption's (lib/netfilter/exemption.ts). */
  | { do: 'note' }
  /** The kernel reports the packet, if it is the first since the last report was read; the rule ends there. */
  | { do: 'alarm' };

export type Ruleset = Table[];

/** A rule, or a chain's policy, and where it is. */
export interface RuleLocation {
  table: Table;
  chain: Chain;
  /** Undefined for the chain's policy. */
  rule?: Rule;
}

/** Family and name of a table, such as `ip mangle`: its identity among the tables of one backend. */
export function tableName({ family, name }: Pick<Table, 'family' | 'name'>): string {
  return `${family} ${name}`;
}

/** Every condition of a rule. */
export function conditionsOf({ steps }: Rule): Condition[] {
  return steps.flatMap((step) => {
    if ('when' in step) return [step.when];
    return 'choose' in step ? step.choose.map(({ when }) => when) : [];
  });
}
