import t from 'tap';
import type { RunCommand } from '../../../lib/command.ts';
import { errors } from '../../../lib/errors.ts';
import type { Json } from '../../../lib/netfilter/nft-expression.ts';
import { listReachable } from '../../../lib/netfilter/reachable-listing.ts';
import { readNft } from '../../../lib/netfilter/ruleset-reader.ts';
import { listing } from './ruleset-dumps.ts';

const chain = (table: string, name: string, hook?: string, type = 'filter') => ({
  chain: { family: 'ip', table, name, ...(hook && { hook, type, prio: 0 }) },
});
const rule = (name: string, ...expr: Json[]) => ({ rule: { family: 'ip', table: 'filter', chain: name, expr } });
const jump = (target: string) => ({ jump: { target } });

const CHAINS = [
  chain('nat', 'PREROUTING', 'prerouting', 'nat'),
  chain('nat', 'SERVICES'),
  chain('filter', 'INPUT', 'input'),
  chain('filter', 'OUTPUT', 'output'),
  ...['A', 'B', 'C'].map((name) => chain('filter', name)),
];
const RULES: Record<string, Json[]> = { INPUT: [rule('INPUT', jump('A'))], A: [rule('A', { goto: { target: 'B' } })] };
const TABLES = [
  { table: { family: 'ip', name: 'nat' } },
  { table: { family: 'ip', name: 'filter', flags: 'dormant' } },
];

/** What nft lists, and what it is asked for: tables are large, unless a chain has to be read with its table. */
function lists(rules: Record<string, Json[]>, chains: Json[] = CHAINS) {
  const asked: string[] = [];
  const run: RunCommand = async (_, [, , , ...words], { memory }) => {
    if (memory) throw errors.COMMAND_TOO_LARGE('nft', 'took', memory.programs);
    asked.push(words.join(' '));
    const [what = '', , , name = ''] = words;
    const items: Record<string, Json[]> = { chains, tables: TABLES, chain: rules[name] ?? [] };
    return { exitCode: 0, stdout: listing(items[what] ?? []), stderr: '' };
  };
  return { run, asked };
}

t.test('of a large ruleset only the chains that arriving packets meet are listed', async (t) => {
  const { run, asked } = lists(RULES);
  const listed = (await listReachable(run, 1000)) ?? '';
  t.same(asked, ['chains', 'chain ip filter INPUT', 'chain ip filter A', 'chain ip filter B', 'tables']);
  t.match(JSON.parse(listed).nftables[0], { table: { name: 'filter', flags: 'dormant' } }, 'flags decide too');
});

t.test('a table is listed at once where a map tells the targets of jumps', async (t) => {
  const vmap = { vmap: { key: { payload: { protocol: 'tcp', field: 'dport' } }, data: '@decide' } };
  const { run, asked } = lists({ INPUT: [rule('INPUT', vmap)] });
  await listReachable(run, 1000);
  t.same(asked, ['chains', 'chain ip filter INPUT', 'table ip filter']);
});

t.test('a ruleset with a name that is no word is listed at once', async (t) => {
  const { run, asked } = lists(RULES, [...CHAINS, chain('filter', '-f /x')]);
  await listReachable(run, 1000);
  t.same(asked, ['chains', 'ruleset']);
});

t.test('parts of a ruleset that changes all the time are not taken for a ruleset', async (t) => {
  let handle = 0;
  const { run } = lists({
    get INPUT() {
      return [{ rule: { family: 'ip', table: 'filter', chain: 'INPUT', handle: ++handle, expr: [] } }];
    },
  });
  await t.rejects(readNft(run, 1000), { code: 'RULESET_UNSTEADY' });
});
