import { readdir, readFile } from 'node:fs/promises';
import t from 'tap';
import { HEADINGS } from '../../demo/demo-table.ts';
import { KINDS, OUTCOME_HEADINGS } from '../../demo/outcome-table.ts';
import { CASES, NO_CASES } from '../../init-image/explain/answer.ts';
import type { CheckerReport } from '../../lib/checker/checker-report.ts';
import { VERSION } from '../../lib/contract.ts';
import { CONDITION_REASONS } from '../../lib/pod/guarded-condition.ts';
import packageJson from '../../package.json' with { type: 'json' };
import { PART_NAMES, readPages } from '../../tools/docs/generated-tables.ts';
import { reportOf } from '../init-image/checker/checker-reports.ts';
import { GUARDED } from '../lib/netfilter/made-checks.ts';

const page = (name: string) => readFile(new URL(`../../${name}`, import.meta.url), 'utf8');

t.test('generated parts are as the program makes them now: npm run docs', async (t) => {
  for (const { path, now, wanted } of await readPages()) t.equal(now, wanted, path.pathname);
});

t.test('every generated part stands somewhere', async (t) => {
  const text = (await readPages()).map(({ now }) => now).join('\n');
  for (const name of PART_NAMES) t.ok(text.includes(`<!-- ${name} -->`), name);
});

t.test('the programs say the version of the package, and the changelog has it', async (t) => {
  t.equal(VERSION, packageJson.version);
  t.match(await page('CHANGELOG.md'), `## ${VERSION}`);
});

t.test('the report shown in the documentation has the keys of a real one', async (t) => {
  const [, json = ''] = (await page('docs/selfcheck.md')).match(/```json\n([\s\S]*?)```/) ?? [];
  const documented = JSON.parse(json) as CheckerReport;
  t.same(keysOf(documented), keysOf(await reportOf(GUARDED)));
});

t.test('every answer of --explain is told with its code', async (t) => {
  const text = await page('docs/diagnose.md');
  for (const code of [...CASES.map(({ code }) => code), ...NO_CASES]) t.ok(text.includes(`\`${code}\``), code);
});

t.test("every reason of the agents' condition is told with its status", async (t) => {
  const text = await page('docs/node-mode.md');
  for (const [reason, status] of Object.entries(CONDITION_REASONS))
    t.ok(text.includes(`| \`${status}\` | \`${reason}\` |`), reason);
});

t.test("who is exposed is told alike in the README and where one's resets are diagnosed", async (t) => {
  const table = async (name: string) => (await page(name)).match(/^\| the node has[\s\S]*?\n\n/m)?.[0];
  t.ok(await table('README.md'));
  t.equal(await table('docs/diagnose.md'), await table('README.md'));
});

t.test("the README shows the demo's tables with their columns", async (t) => {
  for (const headings of [OUTCOME_HEADINGS, HEADINGS]) {
    const words = headings.filter((heading) => heading !== '').join(' +');
    t.match(await page('README.md'), new RegExp(`^${words}$`, 'm'));
  }
  for (const kind of KINDS) t.match(await page('README.md'), new RegExp(`^${kind}  `, 'm'));
});

t.test('pages link only to what exists', async (t) => {
  const docs = await readdir(new URL('../../docs', import.meta.url), { recursive: true });
  for (const name of ['README.md', ...docs.filter((file) => file.endsWith('.md')).map((file) => `docs/${file}`)]) {
    const folder = new URL(name, new URL('../../', import.meta.url));
    for (const [, target = ''] of (await page(name)).matchAll(/\]\((?!https?:)([^)#]+)/g)) {
      await t.resolves(
        readFile(new URL(target, folder)).catch((e) => (e.code === 'EISDIR' ? '' : Promise.reject(e))),
        `${name}: ${target}`,
      );
    }
  }
});

/** Paths of all keys, arrays by their first element. */
function keysOf(value: unknown, path = ''): string[] {
  if (Array.isArray(value)) return keysOf(value[0], `${path}[]`);
  if (typeof value !== 'object' || value === null) return [path];
  return Object.entries(value)
    .flatMap(([key, inner]) => keysOf(inner, `${path}.${key}`))
    .sort();
}
