// The part of a large nft ruleset that verdicts depend on, listed table by table: nft takes 8 to 10 KB of memory for each
// rule that it lists, and most rules of large rulesets are where no arriving packet without a connection comes (nat,
// OUTPUT, POSTROUTING).
import type { RunCommand } from '../command.ts';
import { CodedError } from '../errors.ts';
import type { MemoryBudget } from '../memory-budget.ts';
import { TABLE } from './drop-rule.ts';
import { type JsonItem, toItem } from './nft-expression.ts';
import { isMetOnArrival, splitItems } from './nft-json.ts';
import { EXEMPTION_TABLE } from './nft-statement.ts';

/** All but a few pods have smaller rulesets: nft lists some 700 rules with it. */
const SMALL: MemoryBudget = { programs: 8 * 1024 ** 2, output: 262_144 };
const FAMILIES_OF_TABLES = new Set(['ip', 'ip6', 'inet', 'netdev']);
/** Chains of one table that are listed one by one, with a program for each; where more are reached, the table is. */
const MAX_CHAINS = 40;
/** Programs take names as words. */
const WORD = /^\w[\w./-]*$/;

/** @returns undefined where it takes more than small rulesets do */
export async function runSmall<T>(start: (memory: MemoryBudget) => Promise<T>): Promise<T | undefined> {
  try {
    return await start(SMALL);
  } catch (error) {
    if (error instanceof CodedError && error.code === 'COMMAND_TOO_LARGE') return undefined;
    throw error;
  }
}

/** Runs `nft -j -t list WORDS`; the items, as they are printed. */
type ListItems = (words: string[], memory?: MemoryBudget) => Promise<string[]>;

/** Something is gone since it was listed, or its listing was cut. */
class NotListed extends Error {}

/**
 * Lists the base chains that arriving packets meet, and all chains that these jump to; of small tables all. Left out are base
 * chains of type nat in prerouting: packets without a connection pass them by (nf_nat_inet_fn, net/netfilter/nf_nat_core.c).
 * @param timeout milliseconds for each program
 * @returns the form of `nft -j -t list ruleset`. Rules may have changed between one program and the next: only where the
 *   next call returns the same was this the ruleset at one time. Undefined where the next call may tell
 * @throws CodedError as `run` does: COMMAND_TOO_LARGE where one chain alone is too large
 */
export async function listReachable(run: RunCommand, timeout: number): Promise<string | undefined> {
  const list: ListItems = async (words, memory) => {
    const listed = await run('nft', ['-j', '-t', 'list', ...words], { timeout, ...(memory && { memory }) });
    if (listed.exitCode !== 0) throw new NotListed();
    return [...splitItems(listed.stdout)];
  };
  try {
    const chains = (await list(['chains'])).map((text) => toItem(toItem(JSON.parse(text))['chain']));
    // Where a name is no word, only the listing of everything tells of it.
    const isListable = chains.every((chain) => [chain['table'], chain['name']].every(isWord));
    return asListing(isListable ? await listTables(chains, list) : await list(['ruleset']));
  } catch (error) {
    if (error instanceof NotListed || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

const asListing = (items: string[]) => `{"nftables": [${items.join(', ')}]}\n`;
/** Items that are no chains have no names here. */
const isWord = (name: unknown) => name === undefined || WORD.test(String(name));
const scopeOf = (item: JsonItem) => `${item['family']} ${item['table']}`;

async function listTables(chains: JsonItem[], list: ListItems): Promise<string[]> {
  const needed = chains.filter(
    (chain) => isMetOnArrival(chain) || chain['table'] === TABLE || scopeOf(chain) === EXEMPTION_TABLE,
  );
  const items: string[] = [];
  const large: string[] = [];
  for (const scope of new Set(needed.map(scopeOf))) {
    const [family = '', table = ''] = scope.split(' ');
    if (!FAMILIES_OF_TABLES.has(family)) continue;
    const ofTable = chains.filter((chain) => scopeOf(chain) === scope);
    const small = await runSmall((memory) => list(['table', family, table], memory));
    const some = small ?? (await listChains(family, table, ofTable, list));
    items.push(...(some ?? (await list(['table', family, table]))));
    if (!small && some) large.push(scope);
  }
  if (large.length === 0) return items;
  // Flags, such as "dormant", are part of no chain. nft 1.0.6 loads all rules for it, but takes a third of what a listing does.
  const tables = (await list(['tables'])).filter((text) => {
    const { family, name } = toItem(toItem(JSON.parse(text))['table']);
    return large.includes(`${family} ${name}`);
  });
  if (tables.length !== large.length) throw new NotListed();
  const sets = items.some((text) => text.includes('"@')) ? [...(await list(['sets'])), ...(await list(['maps']))] : [];
  return [...tables, ...sets, ...items];
}

const JUMP = /"(?:jump|goto)": ?\{"target": ?"([^"]+)"/g;
/** The map's elements, which may be jumps to any chain, are not part of the listing. */
const JUMP_BY_MAP = /"vmap": ?\{.*"data": ?"@/;

/** @returns undefined where they cannot be listed one by one */
async function listChains(
  family: string,
  table: string,
  chains: JsonItem[],
  list: ListItems,
): Promise<string[] | undefined> {
  const reached = new Set(chains.filter(isMetOnArrival).map(({ name }) => String(name)));
  const items: string[] = [];
  // A set takes in what is added while it is iterated.
  for (const chain of reached) {
    if (reached.size > MAX_CHAINS || !isWord(chain)) return undefined;
    const listed = await list(['chain', family, table, chain]);
    if (listed.some((text) => JUMP_BY_MAP.test(text))) return undefined;
    for (const text of listed) for (const [, target] of text.matchAll(JUMP)) reached.add(String(target));
    items.push(...listed);
  }
  return items;
}
