// Bundles each program into one file in dist/: these files are what the images run.
import { build } from 'esbuild';

await build({
  entryPoints: {
    install: 'init-image/install.ts',
    check: 'init-image/check.ts',
    webhook: 'webhook/main.ts',
  },
  outdir: 'dist',
  bundle: true,
  platform: 'node',
  target: 'node26',
  // CommonJS starts faster than ESM, and fastify's dependencies call require().
  format: 'cjs',
  minifySyntax: true,
  legalComments: 'linked',
  logLevel: 'warning',
});
