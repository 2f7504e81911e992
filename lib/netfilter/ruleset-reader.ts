// Reads the whole ruleset of this network namespace: nftables and iptables-legacy.
import { type RunCommand, runCommand } from '../command.ts';
import { type CodedError, errors } from '../errors.ts';
import type { Family, Ruleset } from './model.ts';
import { type Nft, parseListing, readNft } from './nft-reader.ts';
import type { NftSession } from './nft-session.ts';
import { canReadLegacy, readLegacyTables } from './proc.ts';
import { programOf } from './programs.ts';
import { parseRuleset } from './ruleset.ts';

export interface Reading {
  ruleset: Ruleset;
  /** False where this kernel has no nftables, so that only iptables-legacy can work. */
  nftWorks: boolean;
  /** Tables that iptables-legacy holds, but for a nat that says nothing (`isNatOnly`). */
  legacyTables: Record<Family, string[]>;
  /** Why a family's rules could not be read in full: then nothing is sure for it. */
  unreadable: Partial<Record<Family, CodedError>>;
  /** Why what iptables-legacy redirects is not known: the verdict does not need it. */
  unreadNat: Partial<Record<Family, CodedError>>;
  /** Why iptables-nft-save could not explain what nft prints as opaque: such rules are "maybe". */
  unexplained: Partial<Record<Family, CodedError>>;
}

/**
 * A reader that remembers: what iptables-nft-save printed for as long as nft's listing is the same (handles are never
 * used again, so that the same handles mean the same rules), and what it made of it all for as long as no counter
 * moves either. Then one program, nft, is all that a look costs.
 * @param timeout milliseconds for each program
 * @param session a way to ask nft that costs less; where it has no answer, a new nft is run
 * @param run runs programs
 * @returns a function that reads the ruleset; the same object as before where nothing at all has changed
 * @throws (the function) CodedError COMMAND_MISSING, COMMAND_TIMEOUT, COMMAND_FAILED, NFT_UNREADABLE
 */
export function makeReader(timeout: number, session?: NftSession, run = runCommand): () => Promise<Reading> {
  const list = async () => (await session?.list()) ?? run('nft', ['-j', 'list', 'ruleset'], { timeout });
  let known: Nft | undefined;
  let last: { texts: string; reading: Reading } | undefined;

  return async () => {
    const [nft, ipv4, ipv6] = await Promise.all([
      readNft(list, run, timeout, known),
      readLegacy('ipv4', run, timeout),
      readLegacy('ipv6', run, timeout),
    ]);
    known = nft;
    const texts = JSON.stringify([nft?.printed.nft, ipv4, ipv6]);
    if (last?.texts === texts) return last.reading;
    const legacySave = { ipv4: ipv4.text, ipv6: ipv6.text };
    const reading = {
      ruleset: parseListing(nft?.printed.nft, () => parseRuleset({ ...nft?.printed, legacySave })),
      nftWorks: nft !== undefined,
      legacyTables: { ipv4: ipv4.tables, ipv6: ipv6.tables },
      unreadable: { ...ipv4.unreadable, ...ipv6.unreadable },
      unreadNat: { ...ipv4.unreadNat, ...ipv6.unreadNat },
      unexplained: nft?.unexplained ?? {},
    };
    last = { texts, reading };
    return reading;
  };
}

/**
 * Packets without a connection pass nat by (nf_nat_inet_fn, net/netfilter/nf_nat_core.c), so a verdict does not need it.
 * Every pod of Istio has an empty one of iptables-legacy: istio-iptables tries there whether that works (1.24 to 1.32).
 */
const isNatOnly = (tables: string[]) => tables.every((name) => name === 'nat');

async function readLegacy(family: Family, run: RunCommand, timeout: number) {
  const tables = readLegacyTables(family);
  const nothing = { tables: [] as string[], text: '', unreadable: {}, unreadNat: {} };
  if (tables.length === 0) return nothing;
  if (isNatOnly(tables) && !canReadLegacy())
    return { ...nothing, unreadNat: { [family]: errors.LEGACY_UNREADABLE(family, 'not tried') } };
  const saved = await run(programOf(family, 'legacy', 'save'), ['-c'], { timeout });
  if (saved.exitCode !== 0)
    return { ...nothing, tables, unreadable: { [family]: errors.LEGACY_UNREADABLE(family, saved.stderr.trim()) } };
  if (isNatOnly(tables) && !/^(\[.*\] )?-A /m.test(saved.stdout)) return nothing;
  // Comments hold the time of day.
  return { ...nothing, tables, text: saved.stdout.replace(/^#.*\n/gm, '') };
}
