// Bundles `kubectl invalid-drop` into dist/cli, which is an npm package as it is. Apart from build.ts: the images are built
// from a part of the repository, without this program.
import { chmod, copyFile, mkdir, writeFile } from 'node:fs/promises';
import { build } from 'esbuild';
import packageJson from '../../package.json' with { type: 'json' };
import { bundledPackages, cliBanner, cliPackage, cliReadme, completeScript } from './cli-package.ts';

const ROOT = new URL('../../', import.meta.url);
const FOLDER = new URL('dist/cli/', ROOT);

await mkdir(FOLDER, { recursive: true });
const { metafile } = await build({
  entryPoints: { 'kubectl-invalid_drop': 'cli/kubectl-invalid-drop.ts' },
  absWorkingDir: new URL('.', ROOT).pathname,
  outdir: 'dist/cli',
  outExtension: { '.js': '.cjs' },
  bundle: true,
  platform: 'node',
  target: 'node22.19',
  format: 'cjs',
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'linked',
  banner: { js: cliBanner },
  metafile: true,
  logLevel: 'warning',
});
const write = (name: string, text: string) => writeFile(new URL(name, FOLDER), text);
await write('kubectl_complete-invalid_drop.cjs', completeScript);
await write('package.json', `${JSON.stringify(cliPackage(packageJson), null, 2)}\n`);
await write('README.md', cliReadme);
await write('bundled-packages.json', `${JSON.stringify(bundledPackages(metafile))}\n`);
await copyFile(new URL('LICENSE', ROOT), new URL('LICENSE', FOLDER));
// For who links to them out of a clone; npm does it by itself.
for (const name of ['kubectl-invalid_drop.cjs', 'kubectl_complete-invalid_drop.cjs'])
  await chmod(new URL(name, FOLDER), 0o755);
