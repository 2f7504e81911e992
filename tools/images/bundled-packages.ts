// Prints which npm packages the bundles of the given entry points hold, as a JSON list of their paths in the lock file.
// Runs where the image is built, so that it sees the same packages; minified bundles no longer name them.
import { build } from 'esbuild';

/** `node_modules/a/node_modules/b/lib/c.js` belongs to `node_modules/a/node_modules/b`. */
const PACKAGE = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//;

// The options of build.ts that decide what goes in.
const { metafile } = await build({
  entryPoints: process.argv.slice(2),
  outdir: 'unwritten',
  write: false,
  metafile: true,
  bundle: true,
  platform: 'node',
  target: 'node26',
  format: 'cjs',
  minifySyntax: true,
});
const paths = Object.values(metafile.outputs).flatMap(({ inputs }) =>
  Object.entries(inputs).flatMap(([path, { bytesInOutput }]) =>
    bytesInOutput > 0 ? (path.match(PACKAGE)?.[1] ?? []) : [],
  ),
);
process.stdout.write(`${JSON.stringify([...new Set(paths)].sort())}\n`);
