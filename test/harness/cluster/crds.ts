// Custom resource definitions that the overlays need, from the Go modules of the projects that define them.
import { readdir, readFile } from 'node:fs/promises';
import { run } from '../netns/processes.ts';
import { kubectl } from './kubectl.ts';

const MODULES: Record<string, [folder: string, names: RegExp]> = {
  'github.com/cert-manager/cert-manager@v1.18.2': ['deploy/crds', /^crd-(certificates|issuers)\.yaml$/],
  'github.com/prometheus-operator/prometheus-operator@v0.85.0': [
    'example/prometheus-operator-crd',
    /_(podmonitors|servicemonitors|prometheusrules)\.yaml$/,
  ],
};

/** Go modules, to be downloaded before the tests run: the tests' network has no way out. */
export const CRD_MODULES = Object.keys(MODULES);

/** Applies the definitions, and waits until the API server serves them. @returns a function that deletes them */
export async function applyCrds(): Promise<() => Promise<unknown>> {
  const definitions = (
    await Promise.all(Object.entries(MODULES).map(([module, where]) => read(module, ...where)))
  ).flat();
  const input = definitions.join('\n---\n');
  await kubectl(['apply', '--server-side', '-f', '-'], { input, limit: 60_000 });
  await kubectl(['wait', '--for=condition=Established', '--timeout=60s', 'crd', '--all'], { limit: 70_000 });
  return () => kubectl(['delete', '--ignore-not-found', '-f', '-'], { input, limit: 60_000 });
}

async function read(module: string, folder: string, names: RegExp): Promise<string[]> {
  const { exitCode, stdout, stderr } = await run('go', ['mod', 'download', '-json', module], { limit: 180_000 });
  if (exitCode !== 0) throw new Error(`${module}: ${stdout}${stderr}`);
  const path = `${(JSON.parse(stdout) as { Dir: string }).Dir}/${folder}`;
  const files = (await readdir(path)).filter((name) => names.test(name));
  const texts = await Promise.all(files.map((name) => readFile(`${path}/${name}`, 'utf8')));
  // They are Helm templates; only their labels are templated.
  return texts.map((text) => text.replace(/^\s*\{\{.*\}\}\s*$\n/gm, '').replace(/\{\{.*?\}\}/g, 'cert-manager'));
}
