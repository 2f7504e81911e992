// Named sets and maps of a listing.
import { type Item, toItem } from './nft-text.ts';

/** Named sets and maps as nft prints them, by `FAMILY TABLE NAME`. */
export type NftSets = Map<string, Item>;

/** Key of a table, of what is in it or of a rule. */
export function tableKey(item: Item): string {
  return `${item['family']} ${item['table']}`;
}

/** @param items the members of nft's listing */
export function collectSets(items: Item[]): NftSets {
  const sets: NftSets = new Map();
  for (const item of items) {
    const set = item['set'] ?? item['map'];
    if (set) sets.set(`${tableKey(toItem(set))} ${toItem(set)['name']}`, toItem(set));
  }
  for (const item of items) {
    for (const name of fedSets(toItem(item['rule']))) {
      const key = `${tableKey(toItem(item['rule']))} ${name}`;
      sets.set(key, { ...sets.get(key), flags: ['dynamic'] });
    }
  }
  return sets;
}

/** Sets that the rule puts packets' values into: the kernel allows it for some without the flag `dynamic`. */
function fedSets(rule: Item): string[] {
  return [rule['expr'] ?? []].flat().flatMap((statement) => {
    const { set, map } = toItem(statement);
    const name = toItem(set)['set'] ?? toItem(map)['map'];
    return typeof name === 'string' ? [name.replace(/^@/, '')] : [];
  });
}

/** Sets that packets or timeouts change are left alone: what they hold now says nothing of the next packet. */
export function isSteady(set: Item): boolean {
  const flags = [set['flags'] ?? []].flat();
  return !flags.includes('dynamic') && !flags.includes('timeout') && set['timeout'] === undefined;
}
