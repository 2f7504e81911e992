// Checks made from iptables-save texts, for tests of what follows from a check.
import { readFile } from 'node:fs/promises';
import { RULE } from '../../../lib/netfilter/drop-rule.ts';
import type { LocalSockets } from '../../../lib/netfilter/local-sockets.ts';
import type { FamilyStatus } from '../../../lib/netfilter/proc.ts';
import { parseRuleset } from '../../../lib/netfilter/ruleset.ts';
import { checkFamily, type RulesetCheck, sparesAndNotes } from '../../../lib/netfilter/ruleset-check.ts';
import type { RulesetSnapshot } from '../../../lib/netfilter/ruleset-reader.ts';

/** A mangle table as iptables-save prints it, with these PREROUTING rules (each with `[packets:bytes] ` or not). */
export function mangle(...rules: string[]): string {
  const lines = rules.map((rule) => rule.replace(/^(\[\d+:\d+\] )?/, (counter) => `${counter}-A PREROUTING `));
  return ['*mangle', ':PREROUTING ACCEPT [0:0]', ...lines, 'COMMIT', ''].join('\n');
}

export const GUARDED = mangle(`[0:0] ${RULE.tcp}`);
export const BARE = mangle();

const listing = await readFile(new URL('exemption-listing.json', import.meta.url), 'utf8');
/** What `nft -j list ruleset` (1.0.6) prints where there is only the exemption, with a listener on 10.0.0.2:9000. */
export const EXEMPTION = `{"nftables": ${listing}}`;

/** As legacySnapshot, with the exemption's table beside iptables-legacy. */
export function exemptSnapshot(ipv4: string, ipv6: string = ipv4): RulesetSnapshot {
  const ruleset = parseRuleset({ nft: EXEMPTION, legacySave: { ipv4, ipv6 } });
  return { ...legacySnapshot(ipv4, ipv6), ruleset };
}

/** What a reader would give where only iptables-legacy holds rules. */
export function legacySnapshot(ipv4: string, ipv6: string = ipv4): RulesetSnapshot {
  return {
    ruleset: parseRuleset({ legacySave: { ipv4, ipv6 } }),
    nftWorks: true,
    legacyTables: { ipv4: ['mangle'], ipv6: ['mangle'] },
    readError: {},
    natError: {},
    xtError: {},
  };
}

/** A namespace without listeners on specific addresses. */
export const SOCKETS: LocalSockets = {
  addresses: { ipv4: ['127.0.0.1', '10.77.0.2'], ipv6: ['::1', 'fd77::2'] },
  listeners: { ipv4: [], ipv6: [] },
  ephemeralPorts: { from: 32_768, to: 60_999 },
};

/** A check of a pod with lo and eth0. */
export function checkOf(
  snapshot: RulesetSnapshot,
  at = 0,
  ipv6: FamilyStatus = { present: true },
  sockets = SOCKETS,
): RulesetCheck {
  const families = {
    ipv4: checkFamily(snapshot, 'ipv4', ['lo', 'eth0'], { present: true }, sockets),
    ipv6: checkFamily(snapshot, 'ipv6', ['lo', 'eth0'], ipv6, sockets),
  };
  const tableSpares = sparesAndNotes(snapshot.ruleset);
  return { at, families, tableSpares, snapshot, namespaceState: '', sockets, took: 0 };
}
