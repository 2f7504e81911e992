import t from 'tap';
import { STRAY_KINDS } from '../harness/netns/stray-kinds.ts';
import { readFates, updatePage } from './kernel-table.ts';

const [FIRST, SECOND] = STRAY_KINDS.map(({ name }) => name);
const PAGE = `# Kernels
<!-- kinds -->
| stray segment | Linux 5.10 | Linux 6.1 | Linux 6.12 |
|---|---|---|---|
| ${FIRST} | INVALID: reset, fine | valid: fine, fine | valid: fine, fine |
<!-- end -->
After.
`;
const observed = (kind: unknown, fate: string[]) => `        # observed ${JSON.stringify({ kind, fate })}`;

t.test('what a guest says it has seen is read, and nothing else', async (t) => {
  const fates = readFates(['# observed nothing', observed(FIRST, ['INVALID', 'reset', 'fine']), 'ok 1 - observed']);
  t.same([...fates], [[FIRST, ['INVALID', 'reset', 'fine']]]);
});

t.test('a run of one kernel changes the column of that kernel only', async (t) => {
  const fates = readFates([observed(FIRST, ['INVALID', 'stuck', 'fine']), observed(SECOND, ['valid', 'fine', 'fine'])]);
  const page = updatePage(PAGE, [{ series: '6.1', fates }]);
  t.match(page, `| ${FIRST} | INVALID: reset, fine | INVALID: stuck, fine | valid: fine, fine |\n`);
  t.match(page, `| ${SECOND} |  | valid: fine, fine |  |\n`);
  t.match(page, /^# Kernels\n[\s\S]*<!-- end -->\nAfter\.\n$/);
  t.equal(updatePage(page, []), page, 'a run that saw nothing changes nothing');
});

t.test('a kind that a kernel was not tested with is said to be so', async (t) => {
  const page = updatePage(PAGE, [{ series: '6.12', fates: readFates([observed(FIRST, ['valid', 'fine', 'fine'])]) }]);
  t.match(page, `| ${SECOND} |  |  | not seen |\n`);
});
