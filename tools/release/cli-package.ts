// What is in the npm package of `kubectl invalid-drop` beside its program. Pure.
import type { Metafile } from 'esbuild';

/** undici, by which the Kubernetes client library asks, needs it (`engines` of its package.json). */
export const CLI_NODE = '22.19.0';

/**
 * Before any other line of the program: an older Node cannot load what follows, and would say nothing that helps. The words of
 * ES5: older ones have to read it.
 */
export const cliBanner = `#!/usr/bin/env node
(function () {
  var need = '${CLI_NODE}'.split('.').map(Number), has = process.versions.node.split('.').map(Number);
  if (has[0] > need[0] || (has[0] === need[0] && has[1] >= need[1])) return;
  process.stderr.write('NODE_TOO_OLD: kubectl invalid-drop needs Node ${CLI_NODE} or later, and this is ' + process.versions.node +
    ': install a newer Node, or take the self-contained program of the release\\n');
  process.exit(2);
})();`;

/** kubectl asks the program of this name what may follow `kubectl invalid-drop`. */
export const completeScript = `#!/usr/bin/env node
process.argv.splice(2, 0, '__complete');
require('./kubectl-invalid_drop.cjs');
`;

/** The repository's own package.json, as far as the package takes it over. */
interface OwnPackage {
  version: string;
  license: string;
  repository?: unknown;
}

/** @returns its package.json. Everything is bundled, so it has no dependencies, and `npx` downloads one file */
export function cliPackage({ version, license, repository }: OwnPackage) {
  return {
    name: 'kubectl-invalid-drop',
    version,
    description: 'kubectl plugin of invalid-drop: status, coverage and diagnosis of the cure for resets in Istio pods',
    license,
    ...(repository !== undefined && { repository }),
    keywords: ['kubernetes', 'kubectl', 'kubectl-plugin', 'istio', 'conntrack'],
    engines: { node: `>=${CLI_NODE}` },
    // kubectl finds a plugin by the name with the underscore, npx one by the name of the package.
    bin: {
      'kubectl-invalid_drop': 'kubectl-invalid_drop.cjs',
      'kubectl-invalid-drop': 'kubectl-invalid_drop.cjs',
      'kubectl_complete-invalid_drop': 'kubectl_complete-invalid_drop.cjs',
    },
    files: ['*.cjs', '*.txt', 'bundled-packages.json'],
  };
}

export const cliReadme = `# kubectl invalid-drop

The operator's command of invalid-drop, which keeps the kernel from resetting healthy connections in Istio pods.

    npx kubectl-invalid-drop status
    npm install --global kubectl-invalid-drop   # then: kubectl invalid-drop status

It needs Node ${CLI_NODE} or later, and kubectl's kubeconfig. docs/cli.md of the repository describes the commands.
`;

/** `node_modules/a/node_modules/b/lib/c.js` belongs to `node_modules/a/node_modules/b`. */
const PACKAGE = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//;

/** @returns paths, as in the lock file, of the npm packages of which the bundle has something */
export function bundledPackages({ outputs }: Metafile): string[] {
  const inputs = Object.values(outputs).flatMap((output) => Object.entries(output.inputs));
  const paths = inputs.flatMap(([path, { bytesInOutput }]) =>
    bytesInOutput > 0 ? (path.match(PACKAGE)?.[1] ?? []) : [],
  );
  return [...new Set(paths)].sort();
}
