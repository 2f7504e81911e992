// Looks made from iptables-save texts, for tests of what follows from a look.

import { RULE } from '../../../lib/netfilter/drop-rule.ts';
import type { Presence } from '../../../lib/netfilter/proc.ts';
import { parseRuleset } from '../../../lib/netfilter/ruleset.ts';
import { type Look, lookAtFamily } from '../../../lib/netfilter/ruleset-check.ts';
import type { Reading } from '../../../lib/netfilter/ruleset-reader.ts';

/** A mangle table as iptables-save prints it, with these PREROUTING rules (each with `[packets:bytes] ` or not). */
export function mangle(...rules: string[]): string {
  const lines = rules.map((rule) => rule.replace(/^(\[\d+:\d+\] )?/, (counter) => `${counter}-A PREROUTING `));
  return ['*mangle', ':PREROUTING ACCEPT [0:0]', ...lines, 'COMMIT', ''].join('\n');
}

export const GUARDED = mangle(`[0:0] ${RULE.tcp}`);
export const BARE = mangle();

/** What a reader would give where only iptables-legacy holds rules. */
export function legacyReading(ipv4: string, ipv6: string = ipv4): Reading {
  return {
    ruleset: parseRuleset({ legacySave: { ipv4, ipv6 } }),
    nftWorks: true,
    legacyTables: { ipv4: ['mangle'], ipv6: ['mangle'] },
    unreadable: {},
    unreadNat: {},
    unexplained: {},
  };
}

/** A look at a pod with lo and eth0. */
export function lookAt(reading: Reading, at = 0, ipv6: Presence = { present: true }): Look {
  const families = {
    ipv4: lookAtFamily(reading, 'ipv4', ['lo', 'eth0'], { present: true }),
    ipv6: lookAtFamily(reading, 'ipv6', ['lo', 'eth0'], ipv6),
  };
  return { at, families, reading, seen: '' };
}
