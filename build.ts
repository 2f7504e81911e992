// Bundles each program into one file in dist/: these files are what the images run. For each image it lists the npm
// packages that its bundles hold, by their paths in the lock file: minified bundles no longer name them.
import { mkdir, writeFile } from 'node:fs/promises';
import { build, type Metafile } from 'esbuild';

/** `node_modules/a/node_modules/b/lib/c.js` belongs to `node_modules/a/node_modules/b`. */
const PACKAGE = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//;

await mkdir('dist', { recursive: true });
// The bundles are CommonJS, which starts faster than ESM; in the image no package.json says otherwise.
await writeFile('dist/package.json', '{ "type": "commonjs" }\n');
const common = {
  outdir: 'dist',
  bundle: true,
  platform: 'node',
  target: 'node26',
  format: 'cjs',
  minifySyntax: true,
  legalComments: 'linked',
  metafile: true,
  logLevel: 'warning',
} as const;
const init = { install: 'init-image/install.ts', check: 'init-image/check.ts' };
// Node keeps the source in memory: without its white space the webhook's is 1.5 MB smaller. The checker's, of which there is
// one in each pod, has short names too: 0.1 MB.
const small = { ...common, minifyWhitespace: true };
await listPackages('init-image', await build({ ...small, minifyIdentifiers: true, entryPoints: init }));
await listPackages('webhook', await build({ ...small, entryPoints: { webhook: 'webhook/main.ts' } }));
await listPackages('node-agent', await build({ ...small, entryPoints: { agent: 'node-agent/agent.ts' } }));

async function listPackages(image: string, { metafile }: { metafile: Metafile }): Promise<void> {
  const paths = Object.values(metafile.outputs).flatMap(({ inputs }) =>
    Object.entries(inputs).flatMap(([path, { bytesInOutput }]) =>
      bytesInOutput > 0 ? (path.match(PACKAGE)?.[1] ?? []) : [],
    ),
  );
  await mkdir(`dist/${image}`, { recursive: true });
  await writeFile(`dist/${image}/bundled-packages.json`, `${JSON.stringify([...new Set(paths)].sort())}\n`);
}
