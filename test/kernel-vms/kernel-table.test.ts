import { readFile } from 'node:fs/promises';
import t from 'tap';
import { fatesOf, STRAY_KINDS, STRAY_ROUTES } from '../harness/netns/stray-kinds.ts';
import { fateKey, readFates, updatePage } from './kernel-table.ts';
import { KERNELS } from './kernels.ts';

const [FIRST, SECOND] = STRAY_KINDS.map(({ name }) => name);
const HEAD = `| stray segment | Linux | conntrack | without us | rule alone | whole cure |
|---|---|---|---|---|---|
`;
const PAGE = `# Kernels
<!-- redirected -->
${HEAD}| ${FIRST} | 5.10 | INVALID | reset | fine | fine |
| ${FIRST} | 6.1, 6.12 | valid | fine | fine | fine |
<!-- end -->
Between.
<!-- outbound -->
<!-- end -->
After.
`;
const observed = (route: string, kind: unknown, fate: string[]) =>
  `        # observed ${JSON.stringify({ route, kind, fate })}`;

t.test('what a guest says it has seen is read, and nothing else', async (t) => {
  const line = observed('outbound', FIRST, ['INVALID', 'fine', 'fine', 'fine']);
  const fates = readFates(['# observed nothing', line, 'ok 1 - observed']);
  t.same([...fates], [[`outbound: ${FIRST}`, ['INVALID', 'fine', 'fine', 'fine']]]);
});

t.test('a run of one kernel changes the rows of that kernel only', async (t) => {
  const fates = readFates([
    observed('redirected', FIRST, ['INVALID', 'reset', 'stuck', 'fine']),
    observed('redirected', SECOND, ['valid', 'fine', 'fine', 'fine']),
    observed('outbound', FIRST, ['valid', 'fine', 'stuck', 'fine']),
    observed('outbound', SECOND, ['valid', 'fine', 'fine', 'fine']),
  ]);
  const page = updatePage(PAGE, [{ series: '6.1', fates }]);
  const rows = [
    `| ${FIRST} | 5.10 | INVALID | reset | fine | fine |`,
    `| ${FIRST} | 6.1 | INVALID | reset | stuck | fine |`,
    `| ${FIRST} | 6.12 | valid | fine | fine | fine |`,
    `| ${SECOND} | 6.1 | valid | fine | fine | fine |`,
  ];
  t.match(page, `<!-- redirected -->\n${HEAD}${rows.join('\n')}\n| `);
  t.match(
    page,
    `<!-- outbound -->\n${HEAD}| ${FIRST} | 6.1 | valid | fine | stuck | fine |\n| ${SECOND} | 6.1 | valid |`,
  );
  t.match(page, /^# Kernels\n[\s\S]*<!-- end -->\nBetween\.\n[\s\S]*<!-- end -->\nAfter\.\n$/);
  t.equal(updatePage(page, []), page, 'a run that saw nothing changes nothing');
});

t.test('kernels with the same result share a row', async (t) => {
  const [first = '', second = ''] = ['5.10', '6.12'];
  const fates = readFates([observed('redirected', FIRST, ['valid', 'fine', 'fine', 'fine'])]);
  const page = updatePage(PAGE, [
    { series: first, fates },
    { series: second, fates },
  ]);
  t.match(page, `<!-- redirected -->\n${HEAD}| ${FIRST} | 5.10, 6.1, 6.12 | valid | fine | fine | fine |\n`);
});

t.test('a kind that a kernel was not tested with is said to be so', async (t) => {
  const fates = readFates([observed('redirected', FIRST, ['valid', 'fine', 'fine', 'fine'])]);
  const page = updatePage(PAGE, [{ series: '6.12', fates }]);
  t.match(page, `| ${SECOND} | 6.12 | not seen |  |  |  |\n`);
});

t.test('docs/kernels.md shows what the tests expect of each kernel', async (t) => {
  const page = await readFile(new URL('../../docs/kernels.md', import.meta.url), 'utf8');
  for (const route of STRAY_ROUTES) t.match(page, `<!-- ${route} -->\n`);
  const expected = KERNELS.map(({ series }) => ({
    series,
    fates: new Map(
      STRAY_KINDS.flatMap((kind) =>
        STRAY_ROUTES.map((route) => [fateKey(route, kind.name), fatesOf(kind, series)[route]] as const),
      ),
    ),
  }));
  t.equal(updatePage(page, expected), page);
});
