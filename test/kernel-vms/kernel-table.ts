// The table in docs/kernels.md: the fate of a connection, by kind of stray segment and kernel.
import { STRAY_KINDS, type StrayFate } from '../harness/netns/stray-kinds.ts';
import { chooseKernels } from './kernels.ts';

/** What was seen on one kernel, by the kind's name. */
export interface Column {
  series: string;
  fates: Map<string, StrayFate>;
}

const OBSERVED = /# observed (\{.*\})$/;
const BLOCK = /<!-- kinds -->\n([\s\S]*?)<!-- end -->/;
/** The columns. An arm64 kernel must agree with the column of its series. */
const SERIES = chooseKernels('all').map(({ series }) => series);

/** The fates that test/netns/stray-kinds.test.ts reports, by kind. @param printed lines of the guest's report */
export function readFates(printed: string[]): Map<string, StrayFate> {
  const seen = printed.flatMap((line) => line.match(OBSERVED)?.[1] ?? []).map((text) => JSON.parse(text));
  return new Map(seen.map(({ kind, fate }) => [kind, fate]));
}

/** The page with what was seen in its table; columns of other kernels stay as they are. */
export function updatePage(page: string, seen: Column[]): string {
  const [, table = ''] = page.match(BLOCK) ?? [];
  const before = cellsOf(table);
  const rows = STRAY_KINDS.map(({ name }) => {
    const cells = SERIES.map((series, i) => {
      const fates = seen.find((column) => column.series === series)?.fates;
      return fates ? cellOf(fates.get(name)) : (before.get(name)?.[i] ?? '');
    });
    return `| ${[name, ...cells].join(' | ')} |\n`;
  });
  const head = `| stray segment | ${SERIES.map((series) => `Linux ${series}`).join(' | ')} |\n`;
  const line = `|---|${SERIES.map(() => '---|').join('')}\n`;
  return page.replace(BLOCK, `<!-- kinds -->\n${head}${line}${rows.join('')}<!-- end -->`);
}

function cellOf(fate: StrayFate | undefined): string {
  if (!fate) return 'not seen';
  const [conntrack, unguarded, guarded] = fate;
  return `${conntrack}: ${unguarded}, ${guarded}`;
}

/** The cells of a table's rows, by the first of each. */
function cellsOf(table: string): Map<string, string[]> {
  const rows = table.split('\n').map((row) => row.split('|').map((cell) => cell.trim()));
  return new Map(rows.map(([, name = '', ...cells]) => [name, cells.slice(0, -1)]));
}
