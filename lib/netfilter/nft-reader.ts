// Reads what nftables holds, with as few programs as can be.
import type { Finished, RunCommand } from '../command.ts';
import { type CodedError, errors } from '../errors.ts';
import type { Chain, Family, Table } from './model.ts';
import { parseNft } from './nft-json.ts';
import { parseTableText } from './nft-table-text.ts';
import { FAMILIES, programOf } from './programs.ts';
import type { Printed } from './ruleset.ts';

/** What `nft` says where the kernel has no nf_tables: its netlink subsystem answers EPROTONOSUPPORT or EINVAL. */
const NO_NFTABLES = /(Protocol|Address family|Operation) not supported|Invalid argument/i;
/** How often a ruleset that changes while it is read is read again. */
const MAX_READS = 5;

/** What nft lists, and what must be asked of other programs because the listing leaves it out. */
export interface Nft {
  /** Without counters, which change with every packet. */
  listing: string;
  printed: Omit<Printed, 'legacySave'>;
  /** Why iptables-nft-save could not tell more of what nft prints as opaque. */
  unexplained: Partial<Record<Family, CodedError>>;
}

/**
 * Reads again where rules changed between one program and the next.
 * @param list gives what `nft -j list ruleset` prints
 * @param run runs the other programs
 * @param timeout milliseconds for each of them
 * @param known what was read before: where the listing is the same, nothing else is asked again
 * @returns undefined where this kernel has no nftables
 * @throws CodedError COMMAND_MISSING, COMMAND_TIMEOUT, COMMAND_FAILED, NFT_UNREADABLE, RULESET_UNSTEADY
 */
export async function readNft(
  list: () => Promise<Finished>,
  run: RunCommand,
  timeout: number,
  known: Nft | undefined,
): Promise<Nft | undefined> {
  let details = known;
  for (let reads = 0; reads < MAX_READS; reads++) {
    const listed = await list();
    if (listed.exitCode !== 0) {
      if (NO_NFTABLES.test(listed.stderr)) return undefined;
      throw failed('nft', listed);
    }
    if (!isWhole(listed.stdout)) {
      if (reads < MAX_READS - 1) continue;
      throw errors.NFT_UNREADABLE(`... ${listed.stdout.slice(-80)}`);
    }
    const listing = listed.stdout.replace(/"(packets|bytes)": ?\d+/g, '"$1": 0');
    if (details?.listing !== listing && needsDetails(listing)) {
      details = { listing, ...(await readDetails(listing, run, timeout)) };
      continue;
    }
    const { printed, unexplained } = details?.listing === listing ? details : { printed: {}, unexplained: {} };
    return { listing, printed: { ...printed, nft: listed.stdout }, unexplained };
  }
  throw errors.RULESET_UNSTEADY(MAX_READS);
}

/** nft before 1.0.7 may stop, with exit code 0, before the flags of a table: see NftSession. */
const isWhole = (listing: string) => /\}\s*$/.test(listing.slice(-10));

function needsDetails(listing: string): boolean {
  return listing.includes('"xt"') || doubtfulTables(listing).length > 0;
}

/** Tables of which nft's JSON leaves out what its text form tells (ruleset/nft-table-text.ts). */
function doubtfulTables(listing: string): Table[] {
  // Most rulesets have neither, and need not be parsed twice.
  if (!/"flags"|"ingress"/.test(listing)) return [];
  const lacksDevices = ({ hook }: Chain) => hook?.name === 'ingress' && !hook.devices;
  return parseListing(listing, () => parseNft(listing)).filter(
    ({ dormant, chains }) => dormant === 'maybe' || [...chains.values()].some(lacksDevices),
  );
}

/** @throws CodedError NFT_UNREADABLE where what nft printed cannot be parsed */
export function parseListing<T>(listing: string | undefined, parse: () => T): T {
  try {
    return parse();
  } catch {
    throw errors.NFT_UNREADABLE((listing ?? '').slice(0, 80));
  }
}

/**
 * What nft's JSON does not tell: iptables extensions, and whether a table with flags is dormant. iptables-nft-save
 * fails on some native nft rules in its tables ("meta sreg key not supported", 1.8.9).
 */
async function readDetails(
  listing: string,
  run: RunCommand,
  timeout: number,
): Promise<Pick<Nft, 'printed' | 'unexplained'>> {
  const nftSave: Printed['nftSave'] = {};
  const unexplained: Nft['unexplained'] = {};
  const dormant: Record<string, boolean> = {};
  const devices: Record<string, string[]> = {};
  if (listing.includes('"xt"')) {
    await Promise.all(
      FAMILIES.map(async (family) => {
        const program = programOf(family, 'nft', 'save');
        const saved = await run(program, ['-c'], { timeout });
        if (saved.exitCode === 0) nftSave[family] = saved.stdout;
        else unexplained[family] = failed(program, saved);
      }),
    );
  }
  for (const { family, name } of doubtfulTables(listing)) {
    const listed = await run('nft', ['-t', 'list', 'table', family, name], { timeout });
    if (listed.exitCode !== 0) continue;
    const table = parseTableText(listed.stdout);
    dormant[`${family} ${name}`] = table.dormant;
    for (const [chain, list] of Object.entries(table.devices)) devices[`${family} ${name} ${chain}`] = list;
  }
  return { printed: { nftSave, dormant, devices }, unexplained };
}

function failed(program: string, finished: Finished): CodedError {
  return errors.COMMAND_FAILED(program, finished.exitCode, finished.stderr.trim().slice(0, 500));
}
