// Reads the whole ruleset of a network namespace: nftables and iptables-legacy, with as few programs as can be.
import { monotonicNow } from '../clock.ts';
import type { ProgramOutput, RunCommand } from '../command.ts';
import { type CodedError, errors } from '../errors.ts';
import { TABLE } from './drop-rule.ts';
import { splitLines } from './iptables-save.ts';
import { type Backend, type Chain, type Ruleset, type Table, tableFamilyOf, tableName } from './model.ts';
import { type NamespaceAccess, ownNamespace } from './namespace-access.ts';
import { chainsWithXt, neededListings, parseNft, parseTableText, withCountersOf } from './nft-json.ts';
import { EXEMPTION_TABLE } from './nft-statement.ts';
import { FAMILIES, type Family } from './packet.ts';
import { canReadLegacy, readLegacyTables } from './proc.ts';
import { listReachable, runSmall } from './reachable-listing.ts';
import { parseRuleset, type RulesetDump } from './ruleset.ts';

/** The ruleset as it was read at one time. */
export interface RulesetSnapshot {
  ruleset: Ruleset;
  /** False where this kernel has no nftables, so that only iptables-legacy can work. */
  nftWorks: boolean;
  /** Tables that iptables-legacy holds, but for a nat table that has no rules or cannot be read (`isNatOnly`). */
  legacyTables: Record<Family, string[]>;
  /** Why a family's rules could not be read in full: its verdicts are unknown. */
  readError: Partial<Record<Family, CodedError>>;
  /** Why the nat table of iptables-legacy could not be read: verdicts do not need it, where connections go does. */
  natError: Partial<Record<Family, CodedError>>;
  /** Why iptables-nft-save did not tell more of xt compat expressions: such rules are undecidable. */
  xtError: Partial<Record<Family, CodedError>>;
  /** What was read, without counters: the same text is the same ruleset, rule by rule. */
  shape?: string;
}

/**
 * What a reader keeps of what it has read. An agent that reads many namespaces keeps digests in place of texts that are
 * only compared, and what namespaces have in common once.
 */
export interface SnapshotKeeping {
  /** Stands for a text: equal for equal texts only. */
  digest(text: string): string;
  /** The same text, of which others may keep it too. */
  text(text: string): string;
  /**
   * The same ruleset, of which others with this shape may keep parts too.
   * @param length characters of all that it was read from
   */
  ruleset(ruleset: Ruleset, shape: string, length: number): Ruleset;
}

/** Characters from which a text is kept as its digest: node:crypto alone takes a megabyte. */
const LONG_TEXT = 262_144;

/** Characters of a listing whose values may be in memory all together: they take twenty times as much. */
const SMALL_TEXT = 65_536;

/** One namespace: there is nothing to share. */
const KEEP_ALL: SnapshotKeeping = {
  digest: (text) =>
    text.length < LONG_TEXT ? text : process.getBuiltinModule('node:crypto').hash('sha256', text, 'base64'),
  text: (text) => text,
  ruleset: (ruleset) => ruleset,
};

/** Reads the ruleset: see makeRulesetReader. */
export type ReadRuleset = (quiet?: boolean) => Promise<RulesetSnapshot>;

/** The program of a family and backend: `iptables-nft-save`, `ip6tables-legacy-restore` and so on. */
export function programOf(family: Family, backend: Backend, what: 'save' | 'restore'): string {
  return `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-${backend}-${what}`;
}

/**
 * A reader that keeps what iptables-nft-save printed for as long as nft's listing is the same (a handle is never used
 * again, so that the same handles mean the same rules), and the snapshot for as long as no counter moves either. Then
 * nft is all that a read costs: once for the rules, and once for the exemption's sets.
 * @param timeout milliseconds for each program
 * @param complete whether rules that no verdict depends on are read from a large ruleset too
 * @returns a function that reads the ruleset; the same object as before where nothing at all has changed. With `quiet`
 *   the kernel reports each change that a program makes, and has reported none since the last read: the exemption's sets,
 *   to which only packets add then, are read again after a quarter of an hour
 * @throws (the function) CodedError COMMAND_MISSING, COMMAND_TIMEOUT, COMMAND_KILLED, COMMAND_FAILED, NFT_UNREADABLE, RULESET_UNSTEADY
 */
export function makeRulesetReader(
  timeout: number,
  namespace: NamespaceAccess = ownNamespace,
  keeping: SnapshotKeeping = KEEP_ALL,
  complete = false,
): ReadRuleset {
  let known: KnownListing | undefined;
  let last: { texts: string; snapshot: RulesetSnapshot } | undefined;

  return async (quiet = false) => {
    const [nft, ipv4, ipv6] = await Promise.all([
      readNft(namespace.run, timeout, known, quiet, keeping.digest, complete),
      readLegacy('ipv4', namespace, timeout),
      readLegacy('ipv6', namespace, timeout),
    ]);
    // Of equal texts the old one is kept: each new one would be garbage that V8 finds late.
    known = nft && { ...keepOf(nft, keeping), ...(nft.listing === known?.listing && { listing: known.listing }) };
    const whole = JSON.stringify([nft?.dump.nft, nft?.dump.setListings, ipv4, ipv6]);
    const texts = keeping.digest(whole);
    if (last?.texts === texts) return last.snapshot;
    const shapeNow = keeping.digest(shapeOf(nft, [ipv4, ipv6]));
    const same = last?.snapshot.shape === shapeNow ? last.snapshot : undefined;
    const shape = same?.shape ?? shapeNow;
    const legacySave = { ipv4: ipv4.text, ipv6: ipv6.text };
    const printed = nft?.dump.nft;
    const ruleset =
      same && printed !== undefined && printed.length < SMALL_TEXT && ipv4.text + ipv6.text === ''
        ? parseListing(printed, () => withCountersOf(same.ruleset, printed))
        : keeping.ruleset(
            parseListing(printed, () => parseRuleset({ ...nft?.dump, legacySave })),
            shape,
            whole.length,
          );
    const snapshot = {
      ruleset,
      nftWorks: nft !== undefined,
      legacyTables: { ipv4: ipv4.tables, ipv6: ipv6.tables },
      readError: { ...ipv4.readError, ...ipv6.readError },
      natError: { ...ipv4.natError, ...ipv6.natError },
      xtError: nft?.xtError ?? {},
      shape,
    };
    last = { texts, snapshot };
    return snapshot;
  };
}

/** What `nft` says where the kernel has no nf_tables: its netlink subsystem answers EPROTONOSUPPORT or EINVAL. */
const NO_NFTABLES = /(Protocol|Address family|Operation) not supported|Invalid argument/i;
/** How often a ruleset that changes while it is read is read again. */
const MAX_READS = 5;

/** Elements of sets that packets add to, such as noted connections: what other programs tell has nothing of them. */
const NOTED = /\{"elem": ?\{"val": ?\{"concat": ?\[[^\]]*\]\}[^{}]*(\{[^{}]*\}[^{}]*)?\}\}(, ?)?/g;
const NONE_NOTED = /"elem": ?\[\], ?/g;

/** The listing without what packets change. */
export function withoutCounters(listing: string): string {
  return listing
    .replace(NOTED, '')
    .replace(NONE_NOTED, '')
    .replace(/"(packets|bytes)": ?\d+/g, '"$1": 0');
}

function shapeOf(nft: NftDump | undefined, legacy: { text: string }[]): string {
  const sets = nft?.elements.read.map(({ text }) => withoutCounters(text));
  const saved = legacy.map((one) => ({ ...one, text: one.text.replace(/\[\d+:\d+\]/g, '[0:0]') }));
  return JSON.stringify([nft?.listing, sets, saved]);
}

/** What nft lists, and what other programs tell that the listing leaves out. */
export interface NftDump {
  /** Stands for the listing without counters, which change with every packet. */
  listing: string;
  /** How often in a row only what verdicts depend on was listed; 0 where all was. */
  byParts: number;
  dump: Omit<RulesetDump, 'legacySave'>;
  xtError: RulesetSnapshot['xtError'];
  elements: SetElements;
}

/** What is known of a listing when it is read again. */
type KnownListing = Pick<NftDump, 'listing' | 'byParts' | 'xtError' | 'elements'> & {
  dump: Pick<RulesetDump, 'nftSave' | 'tableTexts'>;
};

function keepOf({ listing, byParts, dump, xtError, elements }: NftDump, { text }: SnapshotKeeping): KnownListing {
  const { nftSave, tableTexts } = dump;
  const saved = Object.entries(nftSave ?? {}).map(([family, printed]) => [family, text(printed)]);
  const read = elements.read.map((one) => ({ ...one, text: text(one.text) }));
  return {
    listing,
    byParts,
    dump: { ...(nftSave && { nftSave: Object.fromEntries(saved) }), ...(tableTexts && { tableTexts }) },
    xtError,
    elements: { ...elements, read },
  };
}

/** What nft printed of sets, and when that of the exemption's was read, by monotonicNow(). */
interface SetElements {
  at: number;
  read: { words: string[]; text: string }[];
}

/** Milliseconds for which the exemption's sets stand that only packets can have added to: some checks of the agent. */
const STANDS_FOR = 900_000;

/**
 * Reads again where rules changed between one program and the next.
 * @param known what was read before: where the listing is the same, no other program is run but for elements of sets
 * @param quiet see makeRulesetReader
 * @param digest see SnapshotKeeping
 * @param complete see makeRulesetReader
 * @returns undefined where this kernel has no nftables
 * @throws CodedError as makeRulesetReader's function
 */
export async function readNft(
  run: RunCommand,
  timeout: number,
  known?: KnownListing,
  quiet = false,
  digest: SnapshotKeeping['digest'] = KEEP_ALL.digest,
  complete = false,
): Promise<NftDump | undefined> {
  let details: Omit<KnownListing, 'elements' | 'byParts'> | undefined = known;
  /** Read between two listings: the second time they need not be read again. */
  let between: { listing: string; elements: SetElements } | undefined;
  let byParts = known !== undefined && known.byParts > 0 && known.byParts < MAX_BY_PARTS;
  for (let reads = 0; reads < MAX_READS; reads++) {
    const whole = byParts ? undefined : await listWhole(run, timeout, complete);
    byParts = whole === undefined;
    const stdout = whole ? whole.stdout : await listReachable(run, timeout);
    if (stdout === undefined) continue;
    if (whole && whole.exitCode !== 0) {
      if (NO_NFTABLES.test(whole.stderr)) return undefined;
      throw failed('nft', whole);
    }
    if (!isWhole(stdout)) {
      if (reads < MAX_READS - 1) continue;
      throw errors.NFT_UNREADABLE(`... ${stdout.slice(-80)}`);
    }
    const withoutThem = withoutCounters(stdout);
    const listing = digest(withoutThem);
    const before = known?.listing === listing ? known.elements : undefined;
    const isKnown = details?.listing === listing;
    const chains = isKnown ? NO_CHAINS : parseListing(withoutThem, () => chainsWithXt(withoutThem, complete));
    const families = isKnown ? [] : FAMILIES.filter((family) => needsSave(withoutThem, tableFamilyOf(family), chains));
    const lacksDetails = !isKnown && (byParts || families.length > 0 || ambiguousTables(withoutThem).length > 0);
    const [elements, read] = await Promise.all([
      between?.listing === listing ? between.elements : readElements(stdout, run, timeout, before, quiet),
      lacksDetails ? readDetails(withoutThem, families, chains, run, timeout) : undefined,
    ]);
    if (!elements) continue;
    if (read) {
      details = { listing, ...read };
      between = { listing, elements };
      continue;
    }
    const { dump, xtError } = details?.listing === listing ? details : { dump: {}, xtError: {} };
    const setListings = elements.read.map(({ text }) => text);
    const again = byParts ? ((known?.byParts ?? 0) % MAX_BY_PARTS) + 1 : 0;
    return { listing, byParts: again, dump: { ...dump, nft: stdout, setListings }, xtError, elements };
  }
  throw errors.RULESET_UNSTEADY(MAX_READS);
}

/** How often a ruleset is read by parts until the whole is tried again: it may have become small. */
const MAX_BY_PARTS = 20;
const LIST_RULESET = ['-j', '-t', 'list', 'ruleset'];

/** @returns undefined where the ruleset is not small, unless it is to be read completely, whatever it takes */
function listWhole(run: RunCommand, timeout: number, complete: boolean): Promise<ProgramOutput | undefined> {
  if (complete) return run('nft', LIST_RULESET, { timeout });
  return runSmall((memory) => run('nft', LIST_RULESET, { timeout, memory }));
}

/**
 * nft needs 1 KB of memory for each element of a set: the listing has none, and those that a verdict needs are asked for.
 * @returns undefined where a set has gone meanwhile
 */
async function readElements(
  listing: string,
  run: RunCommand,
  timeout: number,
  before: SetElements | undefined,
  quiet: boolean,
): Promise<SetElements | undefined> {
  const now = monotonicNow();
  const stands = before !== undefined && quiet && now - before.at < STANDS_FOR;
  const read: SetElements['read'] = [];
  const needed = before?.read.map(({ words }) => words) ?? parseListing(listing, () => neededListings(listing));
  for (const [i, words] of needed.entries()) {
    const known = stands && words.join(' ') === `table ${EXEMPTION_TABLE}` ? before.read[i] : undefined;
    if (known) {
      read.push(known);
      continue;
    }
    const listed = await run('nft', ['-j', 'list', ...words], { timeout });
    if (listed.exitCode !== 0 || !isWhole(listed.stdout)) return undefined;
    read.push({ words, text: listed.stdout });
  }
  return { at: stands ? before.at : now, read };
}

/**
 * nft before 1.0.7 prints a table's flags from memory that it has freed: its output may end there, with exit code 0.
 * A new process mostly prints them.
 */
const isWhole = (listing: string) => /\}\s*$/.test(listing.slice(-10));

const NO_CHAINS: ReadonlySet<string> = new Set();

/**
 * Whether iptables-nft-save has to tell of a family's xt compat expressions. Where there is a table that our rule would go into, also
 * to learn whether it can: what it cannot read there, it could not tell of our rule either.
 */
function needsSave(listing: string, family: string, chains: ReadonlySet<string>): boolean {
  if ([...chains].some((chain) => chain.startsWith(`${family} `))) return true;
  return [...listing.matchAll(TABLE_ITEM)].some(([, of, name]) => of === family && name === TABLE);
}

const TABLE_ITEM = /\{"table": ?\{"family": ?"(\w+)", ?"name": ?"([^"]*)"/g;

/** Tables of which nft's JSON leaves out what its text form tells (see TableText). */
function ambiguousTables(listing: string): Table[] {
  // Most rulesets have neither, and need not be parsed twice.
  if (!/"table": ?\{[^{}]*"flags"|"ingress"/.test(listing)) return [];
  const lacksDevices = ({ hook }: Chain) => hook?.name === 'ingress' && !hook.devices;
  return parseListing(listing, () => parseNft(listing)).filter(
    ({ dormant, chains }) => dormant === 'maybe' || [...chains.values()].some(lacksDevices),
  );
}

/** @throws CodedError NFT_UNREADABLE where what nft printed cannot be parsed */
function parseListing<T>(listing: string | undefined, parse: () => T): T {
  try {
    return parse();
  } catch {
    throw errors.NFT_UNREADABLE((listing ?? '').slice(0, 80));
  }
}

/** iptables-nft-save fails on some native nft rules in its tables ("meta sreg key not supported", 1.8.9). */
async function readDetails(
  listing: string,
  families: Family[],
  chains: ReadonlySet<string>,
  run: RunCommand,
  timeout: number,
): Promise<Pick<NftDump, 'dump' | 'xtError'>> {
  const nftSave: RulesetDump['nftSave'] = {};
  const xtError: NftDump['xtError'] = {};
  const tableTexts: RulesetDump['tableTexts'] = {};
  await Promise.all(
    families.map(async (family) => {
      const program = programOf(family, 'nft', 'save');
      const saved = await run(program, ['-c'], { timeout });
      if (saved.exitCode === 0) nftSave[family] = onlyOf(saved.stdout, tableFamilyOf(family), chains);
      else xtError[family] = failed(program, saved);
    }),
  );
  for (const table of ambiguousTables(listing)) {
    const listed = await run('nft', ['-t', 'list', 'table', table.family, table.name], { timeout });
    if (listed.exitCode === 0) tableTexts[tableName(table)] = parseTableText(listed.stdout);
  }
  return { dump: { nftSave, tableTexts }, xtError };
}

/** What of iptables-save tells of these chains. Its comments are left out, which hold the time of day. */
function onlyOf(saved: string, family: string, chains: ReadonlySet<string>): string {
  let table = '';
  const lines = splitLines(saved).filter((line) => {
    if (line.startsWith('*')) table = line.slice(1);
    const chain = /^(?:\[\d+:\d+\] )?-A (\S+)/.exec(line)?.[1];
    return chain === undefined ? !line.startsWith('#') : chains.has(`${family} ${table} ${chain}`);
  });
  return `${lines.join('\n')}\n`;
}

function failed(program: string, output: ProgramOutput): CodedError {
  return errors.COMMAND_FAILED(program, output.exitCode, output.stderr.trim().slice(0, 500));
}

/**
 * Packets without a connection pass nat by (nf_nat_inet_fn, net/netfilter/nf_nat_core.c), so a verdict does not need
 * it. Every pod of Istio has an empty one of iptables-legacy: istio-iptables tries there whether that works (1.24 to
 * 1.32).
 */
const isNatOnly = (tables: string[]) => tables.every((name) => name === 'nat');

async function readLegacy(family: Family, namespace: NamespaceAccess, timeout: number) {
  const tables = readLegacyTables(family, namespace);
  const nothing = { tables: [] as string[], text: '', readError: {}, natError: {} };
  if (tables.length === 0) return nothing;
  if (isNatOnly(tables) && !canReadLegacy())
    return { ...nothing, natError: { [family]: errors.LEGACY_UNREADABLE(family, 'not tried') } };
  const saved = await namespace.run(programOf(family, 'legacy', 'save'), ['-c'], { timeout });
  if (saved.exitCode !== 0)
    return { ...nothing, tables, readError: { [family]: errors.LEGACY_UNREADABLE(family, saved.stderr.trim()) } };
  if (isNatOnly(tables) && !/^(\[.*\] )?-A /m.test(saved.stdout)) return nothing;
  return { ...nothing, tables, text: saved.stdout.replace(/^#.*\n/gm, '') };
}
