// Runs the end-to-end tests: on the cluster that KUBECONFIG names, or else on one of its own that is gone afterwards.
// Arguments: the test files; all of them where none is given.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const CLUSTER = 'test/cluster/main.ts';
const PREVIOUS = '-previous';
const IMAGES = ['init-image', 'webhook'];
const REGISTRY = process.env['REGISTRY'] || 'localhost/invalid-drop';
/** The whole suite; no test file may take longer. */
const FILE_LIMIT_SECONDS = '1200';

const given = process.argv.slice(2);
const files = given.length > 0 ? given : allFiles();
const tap = ['tap', 'run', '--jobs=1', `--timeout=${FILE_LIMIT_SECONDS}`, ...files];

process.exitCode = process.env['KUBECONFIG'] ? await step('npx', tap) : await onOwnCluster();

async function onOwnCluster(): Promise<number> {
  // An interruption reaches the child too; then it is over, and what was made is removed.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {});
  try {
    const made = (await step('node', CLUSTER, 'up')) || (await loadImages('')) || (await loadPrevious());
    return made || (await step('node', CLUSTER, 'run', '--', 'npx', ...tap));
  } finally {
    await step('node', CLUSTER, 'down');
  }
}

async function loadImages(tag: string): Promise<number> {
  for (const image of IMAGES) {
    const code = await step('node', CLUSTER, 'load', `.run/images/${image}${tag}.oci.tar`, `${REGISTRY}/${image}`);
    if (code !== 0) return code;
  }
  return 0;
}

/** The images of the commit before, to upgrade from. Without a history there are none, and that test is skipped. */
async function loadPrevious(): Promise<number> {
  if ((await step('git', 'rev-parse', '--quiet', '--verify', 'HEAD~1')) !== 0) return 0;
  const made = (await step('make', 'images', 'COMMIT=HEAD~1', `TAG=${PREVIOUS}`)) || (await loadImages(PREVIOUS));
  process.env['INVALID_DROP_E2E_PREVIOUS'] = PREVIOUS;
  return made;
}

function allFiles(): string[] {
  const names = readdirSync(`${ROOT}test/e2e`).filter((name) => name.endsWith('.e2e.ts'));
  return names.sort().map((name) => `test/e2e/${name}`);
}

async function step(command: string, ...args: (string | string[])[]): Promise<number> {
  const child = spawn(command, args.flat(), { cwd: ROOT, stdio: 'inherit' });
  const [code] = (await once(child, 'exit')) as [number | null];
  return code ?? 1;
}
