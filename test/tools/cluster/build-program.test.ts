import { access, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { buildMissing, hasGo } from '../../../tools/cluster/build-program.ts';
import { run } from '../../harness/netns/processes.ts';

const skip = !(await hasGo()) && 'needs Go';
const never = new AbortController().signal;

t.test('a program is built once, and again where its source changes', { skip }, async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'build-'));
  t.teardown(() => rm(directory, { recursive: true }));
  const cache = join(directory, 'cache');
  const module = { directory, packages: new Map([['hello', '.']]), variables: { 'main.word': 'hi' } };
  const write = (word: string) =>
    writeFile(`${directory}/main.go`, `package main\nvar word = "${word}"\nfunc main() { print(word) }\n`);
  await writeFile(`${directory}/go.mod`, 'module test/hello\n\ngo 1.24\n');
  await writeFile(`${directory}/go.sum`, '');
  await write('a');
  const told: string[] = [];
  const build = async () =>
    (await buildMissing(module, ['hello'], cache, (text) => told.push(text), never)).get('hello') ?? '';

  const path = await build();
  await t.resolves(access(path));
  t.equal(await build(), path);
  t.equal(told.length, 1, 'the second time it is there');
  await write('b');
  t.not(await build(), path);
  await writeFile(`${directory}/main.go`, 'package main\nfunc main() { nonsense }\n');
  await t.rejects(build(), { code: 'CLUSTER_BUILD_FAILED', message: /undefined: nonsense/ });
});

t.test('a file of another module is compiled in a package of ours', { skip }, async (t) => {
  const directory = t.testdir({
    'go.mod': 'module test/borrower\n\ngo 1.24\n\nrequire test/lender v1.0.0\n\nreplace test/lender => ./lender\n',
    'go.sum': '',
    'main.go': 'package main\n\nimport "test/borrower/inner"\n\nfunc main() { print(inner.Word()) }\n',
    inner: { 'export.go': 'package inner\n\nfunc Word() string { return word }\n' },
    lender: {
      'go.mod': 'module test/lender\n\ngo 1.24\n',
      inner: { 'word.go': 'package inner\n\nconst word = "lent"\n' },
    },
    cache: {},
  });
  const borrowed = new Map([['inner/word.go', { module: 'test/lender', path: 'inner/word.go' }]]);
  const module = { directory, packages: new Map([['borrower', '.']]), variables: {}, borrowed };
  const build = async () =>
    (await buildMissing(module, ['borrower'], `${directory}/cache`, () => {}, never)).get('borrower') ?? '';
  const path = await build();
  t.equal((await run(path, [])).stderr, 'lent');
  await writeFile(`${directory}/inner/export.go`, 'package inner\n\nfunc Word() string { return word + "!" }\n');
  t.equal((await run(await build(), [])).stderr, 'lent!', 'it is built again where that package changes');
});
