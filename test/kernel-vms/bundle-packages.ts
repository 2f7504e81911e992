// The npm packages that the tests import, each bundled into one file: Node reads one file many times faster than
// hundreds, which counts where the machine is emulated.
import { mkdir, writeFile } from 'node:fs/promises';
import { build, type Plugin } from 'esbuild';

const PACKAGES = ['tap', 'fast-json-patch', '@kubernetes/client-node'];

/** Some of tap's parts ask for a CommonJS `require`, which a module does not have. */
const REQUIRE = `import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);`;

/** tap prints React elements by a package that it loads by `require` at run time. No kernel test has any. */
const noReact: Plugin = {
  name: 'no-react',
  setup({ onLoad }) {
    onLoad({ filter: /tcompare\/.*react-element-to-jsx-string\.js$/ }, () => ({ contents: 'export default String;' }));
  },
};

/** Writes node_modules with the bundled packages into `folder`. */
export async function bundlePackages(root: string, folder: string): Promise<void> {
  for (const name of PACKAGES) {
    const target = `${folder}/node_modules/${name}`;
    await mkdir(target, { recursive: true });
    await writeFile(`${target}/package.json`, JSON.stringify({ name, type: 'module', exports: './index.js' }));
    await build({
      stdin: {
        contents: `export * from '${name}'; import * as all from '${name}'; export default all.default;`,
        resolveDir: root,
      },
      outfile: `${target}/index.js`,
      bundle: true,
      platform: 'node',
      target: 'node26',
      format: 'esm',
      banner: { js: REQUIRE },
      plugins: [noReact],
      logLevel: 'error',
    });
  }
}
