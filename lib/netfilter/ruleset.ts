// All that the tools printed to one ruleset.
import { parseSave } from './iptables-save.ts';
import type { Family, Ruleset } from './model.ts';
import { parseNft } from './nft-json.ts';
import { explain } from './opaque.ts';

/** What the tools printed in one network namespace; an absent member means that there is nothing of that kind. */
export interface Printed {
  /** `nft -j list ruleset` */
  nft?: string;
  /** `iptables-nft-save -c` and `ip6tables-nft-save -c` */
  nftSave?: Partial<Record<Family, string>>;
  /** `iptables-legacy-save -c` and `ip6tables-legacy-save -c` */
  legacySave?: Partial<Record<Family, string>>;
  /** Dormant or not, by `FAMILY TABLE`, for tables whose flags nft's JSON leaves in doubt. */
  dormant?: Record<string, boolean>;
  /** Devices by `FAMILY TABLE CHAIN`, for ingress chains whose devices nft's JSON leaves out (up to 1.0.6). */
  devices?: Record<string, string[]>;
}

const FAMILIES: Family[] = ['ipv4', 'ipv6'];

/**
 * nft's JSON is the ground for everything that nftables holds: iptables-nft-save leaves out of a rule what it does
 * not know (`ip saddr { 192.0.2.1, 192.0.2.2 } accept` is printed as `-j ACCEPT` by 1.8.9). Only for the iptables
 * extensions that nft prints as opaque `xt` does the same rule in iptables-nft-save tell more.
 * @returns every table that an arriving packet can meet
 * @throws SyntaxError if nft's text is no JSON
 */
export function parseRuleset(printed: Printed): Ruleset {
  const tables = printed.nft ? parseNft(printed.nft) : [];
  for (const table of tables) {
    const name = `${table.family} ${table.name}`;
    table.dormant = printed.dormant?.[name] ?? table.dormant;
    for (const { name: chain, hook } of table.chains.values()) {
      const devices = printed.devices?.[`${name} ${chain}`];
      if (hook && devices) hook.devices ??= devices;
    }
  }
  for (const family of FAMILIES) explain(tables, parseSave(printed.nftSave?.[family] ?? '', 'nft', family));
  return [...tables, ...FAMILIES.flatMap((family) => parseSave(printed.legacySave?.[family] ?? '', 'legacy', family))];
}
