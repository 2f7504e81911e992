// The npm package, as npm and kubectl take it.
import { readdir, readFile, symlink } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import packageJson from '../../../package.json' with { type: 'json' };
import { CLI_NODE, cliBanner, cliPackage } from '../../../tools/release/cli-package.ts';
import { run } from '../../harness/netns/processes.ts';

const FOLDER = fileURLToPath(new URL('../../../dist/cli', import.meta.url));

t.test('npm packs everything that its commands need, and nothing else is installed', async (t) => {
  const own = JSON.parse(await readFile(`${FOLDER}/package.json`, 'utf8'));
  t.strictSame(own, JSON.parse(JSON.stringify(cliPackage(packageJson))));
  t.notOk('dependencies' in own);
  const { stdout } = await run('npm', ['pack', '--dry-run', '--json', FOLDER], { limit: 60_000 });
  const [packed] = [JSON.parse(stdout)].flat() as { files?: { path: string }[] }[];
  const files = (packed?.files ?? []).map(({ path }) => path).sort();
  t.strictSame(files, (await readdir(FOLDER)).sort());
  for (const file of Object.values(own.bin) as string[]) t.ok(files.includes(file), file);
});

t.test('the client library needs the Node that the package asks for', async (t) => {
  const lock = JSON.parse(await readFile(new URL('../../../package-lock.json', import.meta.url), 'utf8'));
  t.equal(lock.packages['node_modules/undici'].engines.node, `>=${CLI_NODE}`);
});

t.test('an older Node says so, in words, with exit code 2', async (t) => {
  const text = cliBanner.replace(/^#!.*\n/, '');
  const asIf = (version: string) =>
    run(process.execPath, [
      '-e',
      `Object.defineProperty(process, 'versions', { value: { node: '${version}' } });${text}`,
    ]);
  t.match(await asIf('20.20.2'), {
    exitCode: 2,
    stderr: /^NODE_TOO_OLD: .* needs Node 22\.19\.0 or later, .* 20\.20\.2: /,
  });
  t.match(await asIf('22.18.0'), { exitCode: 2 });
  for (const version of ['22.19.0', '24.0.0']) t.match(await asIf(version), { exitCode: 0, stderr: '' }, version);
});

t.test('kubectl asks the program for completion by its own name', async (t) => {
  const bin = t.testdir({});
  await symlink(`${FOLDER}/kubectl_complete-invalid_drop.cjs`, `${bin}/kubectl_complete-invalid_drop`);
  const { stdout } = await run(process.execPath, [`${bin}/kubectl_complete-invalid_drop`, 'sta']);
  t.match(stdout, /^status\t.*\n:4\n$/);
});
