// What a ruleset is to the verdict: plain data, the same for iptables-legacy, iptables-nft and native nftables.

export type Family = 'ipv4' | 'ipv6';

/** The places that an arriving packet for this host passes, in their order. */
export const HOOKS = ['ingress', 'prerouting', 'input'] as const;
export type HookName = (typeof HOOKS)[number];

export interface Hook {
  name: HookName;
  /** Lower runs first; conntrack itself is at -200 (include/uapi/linux/netfilter_ipv4.h). */
  priority: number;
  /** Chains of type nat never see a packet without a connection (nf_nat_inet_fn in net/netfilter/nf_nat_core.c). */
  nat: boolean;
  /** Devices of an ingress chain. */
  devices?: string[];
}

export interface Table {
  backend: 'legacy' | 'nft';
  family: 'ip' | 'ip6' | 'inet' | 'netdev';
  name: string;
  /** A dormant nft table is listed in full but none of its chains is called. */
  dormant: boolean | 'maybe';
  chains: Map<string, Chain>;
}

export interface Chain {
  name: string;
  hook?: Hook;
  policy: 'accept' | 'drop';
  rules: Rule[];
}

export interface Rule {
  /** As its own tool would print it. */
  text: string;
  steps: Step[];
  packets?: number;
  bytes?: number;
}

/** A rule is evaluated step by step; a condition that does not hold, or no choice that fits, ends it. */
export type Step = { when: Condition } | { act: Action } | { choose: Choice[] };
export interface Choice {
  when: Condition;
  act: Action;
}

export type Field =
  | 'iif'
  | 'protocol'
  | 'family'
  | 'ctstate'
  | 'mark'
  | 'source'
  | 'destination'
  | 'sourcePort'
  | 'destinationPort'
  | 'flags'
  /** Whether the packet has a connection: an INVALID one has none. */
  | 'connection';

export type Value =
  | string
  | number
  | { from: number; to: number }
  | { address: string; length: number }
  | { addressFrom: string; addressTo: string }
  | { startsWith: string };

export interface Comparison {
  field: Field;
  mask?: number;
  oneOf: Value[];
  negate: boolean;
  text: string;
}

/** Holds where the field (after the mask, if any) is one of the values; or where it is none of them, if negated. */
export type Condition =
  | Comparison
  /** `undefined` is "maybe": this program cannot know. */
  | { constant: boolean | undefined; text: string };

/** new mark = (old & and) ^ xor, on 32 bits */
export interface MarkChange {
  and: number;
  xor: number;
}

export type Action =
  | { do: 'accept' | 'drop' | 'return' | 'continue' }
  | { do: 'jump' | 'goto'; chain: string }
  /** Without `change` the new mark is not known. */
  | { do: 'mark'; change?: MarkChange }
  /** The packet becomes UNTRACKED. */
  | { do: 'notrack' }
  /** `-j CT` other than --notrack, `ct zone set`: until conntrack runs, the packet's state is that of a template. */
  | { do: 'template' }
  /** The packet's addresses, ports or flags are rewritten, or whether it is for this host. */
  | { do: 'rewrite' }
  /**
   * Handed to the transparent socket of a proxy, which is taken to be there. `ends` says whether the chain ends with
   * it (iptables) or goes on (nft).
   */
  | { do: 'tproxy'; ends: boolean; change: MarkChange }
  /** Answered with a TCP reset: the very harm that a drop prevents. */
  | { do: 'reset' }
  /** Anything may happen from here. */
  | { do: 'unknown'; text: string };

export type Ruleset = Table[];
