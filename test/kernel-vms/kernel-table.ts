// The tables in docs/kernels.md: the fate of a connection, by kind of stray segment and kernel. One for each route.
import { STATES, STRAY_KINDS, STRAY_ROUTES, type StrayFate, type StrayRoute } from '../harness/netns/stray-kinds.ts';
import { chooseKernels } from './kernels.ts';

/** What was seen on one kernel, by route and kind: see fateKey. */
export interface SeenOnKernel {
  series: string;
  fates: Map<string, StrayFate>;
}

const OBSERVED = /# observed (\{.*\})$/;
const HEAD = ['stray segment', 'Linux', 'conntrack', ...STATES];
/** The kernels of the tables. An arm64 kernel must agree with its series. */
const SERIES = chooseKernels('all').map(({ series }) => series);
/** In place of a fate, where a kernel was run without this kind. */
const NOT_SEEN = ['not seen', '', '', ''];

export function fateKey(route: StrayRoute, kind: string): string {
  return `${route}: ${kind}`;
}

/** The fates that test/netns/stray-kinds.test.ts reports. @param printed lines of the guest's report */
export function readFates(printed: string[]): SeenOnKernel['fates'] {
  const seen = printed.flatMap((line) => line.match(OBSERVED)?.[1] ?? []).map((text) => JSON.parse(text));
  return new Map(seen.map(({ route, kind, fate }) => [fateKey(route, kind), fate]));
}

/** The page with what was seen in its tables; what they say of other kernels stays as it is. */
export function updatePage(page: string, seen: SeenOnKernel[]): string {
  return STRAY_ROUTES.reduce((text, route) => {
    const block = new RegExp(`<!-- ${route} -->\n([\\s\\S]*?)<!-- end -->`);
    const [, table = ''] = text.match(block) ?? [];
    return text.replace(block, `<!-- ${route} -->\n${updateTable(table, route, seen)}<!-- end -->`);
  }, page);
}

function updateTable(table: string, route: StrayRoute, seen: SeenOnKernel[]): string {
  const before = readTable(table);
  const rows = STRAY_KINDS.flatMap(({ name }) => {
    // Kernels with the same fate share a row.
    const kernelsOf = new Map<string, string[]>();
    for (const series of SERIES) {
      const column = seen.find((one) => one.series === series);
      const cells = column ? (column.fates.get(fateKey(route, name)) ?? NOT_SEEN) : before.get(`${name} | ${series}`);
      if (!cells) continue;
      const fate = cells.join(' | ');
      kernelsOf.set(fate, [...(kernelsOf.get(fate) ?? []), series]);
    }
    return [...kernelsOf].map(([fate, kernels]) => `| ${name} | ${kernels.join(', ')} | ${fate} |\n`);
  });
  return `| ${HEAD.join(' | ')} |\n|${HEAD.map(() => '---|').join('')}\n${rows.join('')}`;
}

/** The cells of a table that tell a fate, by kind and kernel. */
function readTable(table: string): Map<string, string[]> {
  const rows = table.split('\n').map((row) => row.split('|').map((cell) => cell.trim()));
  return new Map(
    rows.flatMap(([, name = '', kernels = '', ...cells]) =>
      kernels.split(', ').map((series): [string, string[]] => [`${name} | ${series}`, cells.slice(0, -1)]),
    ),
  );
}
