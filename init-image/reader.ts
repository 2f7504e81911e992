// Reads the whole ruleset of this network namespace with as few programs as can be.
import { type Finished, runCommand } from './command.ts';
import { type CodedError, errors } from './errors.ts';
import { readLegacyTables } from './proc.ts';
import type { Family, Ruleset } from './ruleset/model.ts';
import { type Printed, parseRuleset } from './ruleset/ruleset.ts';

export const FAMILIES: Family[] = ['ipv4', 'ipv6'];

/** The program of a family and backend: `iptables-nft-save`, `ip6tables-legacy-restore` and so on. */
export function programOf(family: Family, backend: 'nft' | 'legacy', what: 'save' | 'restore'): string {
  return `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-${backend}-${what}`;
}

export interface Reading {
  ruleset: Ruleset;
  /** False where this kernel has no nftables, so that only iptables-legacy can work. */
  nftWorks: boolean;
  /** Families for which iptables-legacy holds tables. */
  legacyTables: Record<Family, string[]>;
  /** Why a family's rules could not be read in full: then nothing is sure for it. */
  unreadable: Partial<Record<Family, CodedError>>;
  /** Why iptables-nft-save could not explain what nft prints as opaque: such rules are "maybe". */
  unexplained: Partial<Record<Family, CodedError>>;
}

/** What `nft` says where the kernel has no nf_tables: its netlink subsystem answers EPROTONOSUPPORT or EINVAL. */
const NO_NFTABLES = /(Protocol|Address family|Operation) not supported|Invalid argument/i;
/** How often a ruleset that changes while it is read is read again. */
const MAX_READS = 5;

/**
 * A reader that remembers what iptables-nft-save printed for as long as nft's listing is the same: handles are
 * never used again, so that the same handles mean the same rules. Then one program, nft, is all that a look costs.
 * @param timeout milliseconds for each program
 * @returns a function that reads the ruleset
 * @throws (the function) CodedError COMMAND_MISSING, COMMAND_TIMEOUT, COMMAND_FAILED, NFT_UNREADABLE
 */
export function makeReader(timeout: number): () => Promise<Reading> {
  let known: Nft | undefined;

  return async () => {
    const [nft, ipv4, ipv6] = await Promise.all([
      readNft(timeout, known),
      readLegacy('ipv4', timeout),
      readLegacy('ipv6', timeout),
    ]);
    known = nft;
    return {
      ruleset: parse({ ...nft?.printed, legacySave: { ipv4: ipv4.text, ipv6: ipv6.text } }),
      nftWorks: nft !== undefined,
      legacyTables: { ipv4: ipv4.tables, ipv6: ipv6.tables },
      unreadable: { ...ipv4.unreadable, ...ipv6.unreadable },
      unexplained: nft?.unexplained ?? {},
    };
  };
}

/** What nft lists, and what must be asked of other programs because the listing leaves it out. */
interface Nft {
  /** Without counters, which change with every packet. */
  listing: string;
  printed: Omit<Printed, 'legacySave'>;
  unexplained: Reading['unexplained'];
}

/** Undefined where this kernel has no nftables. Reads again where rules changed between one program and the next. */
async function readNft(timeout: number, known: Nft | undefined): Promise<Nft | undefined> {
  let details = known;
  for (let reads = 0; reads < MAX_READS; reads++) {
    const listed = await runCommand('nft', ['-j', 'list', 'ruleset'], { timeout });
    if (listed.exitCode !== 0) {
      if (NO_NFTABLES.test(listed.stderr)) return undefined;
      throw failed('nft', listed);
    }
    const listing = listed.stdout.replace(/"(packets|bytes)": ?\d+/g, '');
    if (details?.listing !== listing && needsDetails(listing)) {
      details = { listing, ...(await readDetails(listing, timeout)) };
      continue;
    }
    const { printed, unexplained } = details?.listing === listing ? details : { printed: {}, unexplained: {} };
    return { listing, printed: { ...printed, nft: listed.stdout }, unexplained };
  }
  throw errors.RULESET_UNSTEADY(MAX_READS);
}

/** A table with its flags, as nft's JSON has it: the flag itself cannot be trusted (ruleset/nft-json.ts). */
const FLAGGED_TABLE = /\{"table": \{"family": "(\w+)", "name": "([^"]+)", "handle": \d+, "flags"/g;

function needsDetails(listing: string): boolean {
  return listing.includes('"xt"') || listing.search(FLAGGED_TABLE) >= 0;
}

function parse(printed: Printed): Ruleset {
  try {
    return parseRuleset(printed);
  } catch {
    throw errors.NFT_UNREADABLE((printed.nft ?? '').slice(0, 80));
  }
}

/**
 * What nft's JSON does not tell: iptables extensions, and whether a table with flags is dormant. iptables-nft-save
 * fails on some native nft rules in its tables ("meta sreg key not supported", 1.8.9).
 */
async function readDetails(listing: string, timeout: number): Promise<Pick<Nft, 'printed' | 'unexplained'>> {
  const nftSave: Printed['nftSave'] = {};
  const unexplained: Reading['unexplained'] = {};
  const dormant: Record<string, boolean> = {};
  if (listing.includes('"xt"')) {
    await Promise.all(
      FAMILIES.map(async (family) => {
        const program = programOf(family, 'nft', 'save');
        const saved = await runCommand(program, ['-c'], { timeout });
        if (saved.exitCode === 0) nftSave[family] = saved.stdout;
        else unexplained[family] = failed(program, saved);
      }),
    );
  }
  for (const [, family = '', name = ''] of listing.matchAll(FLAGGED_TABLE)) {
    const table = await runCommand('nft', ['-t', 'list', 'table', family, name], { timeout });
    if (table.exitCode === 0) dormant[`${family} ${name}`] = /^\s*flags [^;]*\bdormant\b/m.test(table.stdout);
  }
  return { printed: { nftSave, dormant }, unexplained };
}

async function readLegacy(family: Family, timeout: number) {
  const tables = await readLegacyTables(family);
  if (tables.length === 0) return { tables, text: '', unreadable: {} };
  const saved = await runCommand(programOf(family, 'legacy', 'save'), ['-c'], { timeout });
  if (saved.exitCode === 0) return { tables, text: saved.stdout, unreadable: {} };
  return { tables, text: '', unreadable: { [family]: errors.LEGACY_UNREADABLE(family, saved.stderr.trim()) } };
}

function failed(program: string, finished: Finished): CodedError {
  return errors.COMMAND_FAILED(program, finished.exitCode, finished.stderr.trim().slice(0, 500));
}
