import { access, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { buildMissing } from '../../../tools/cluster/build-program.ts';
import { must } from '../../harness/netns/processes.ts';

const hasGo = await must('go', ['version']).catch(() => undefined);
const never = new AbortController().signal;

t.test('a program is built once, and again where its source changes', { skip: !hasGo && 'needs Go' }, async (t) => {
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
