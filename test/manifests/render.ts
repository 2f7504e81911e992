// What kustomize makes of the manifests.
import { mkdtemp, readdir, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadAllYaml } from '@kubernetes/client-node';
import { run } from '../harness/netns/processes.ts';

export const MANIFESTS = fileURLToPath(new URL('../../manifests', import.meta.url));

export interface Rendered {
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string>; annotations?: Record<string, string> };
  // biome-ignore lint/suspicious/noExplicitAny: a manifest that is not as expected fails the test that looks at it.
  spec?: any;
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  [key: string]: any;
}

let kubectl: Promise<string | undefined> | undefined;

/** kubectl of PATH, or the one that was built for the test cluster; undefined where there is neither. */
export function findKubectl(): Promise<string | undefined> {
  kubectl ??= find();
  return kubectl;
}

async function find(): Promise<string | undefined> {
  const cache = `${process.env['XDG_CACHE_HOME'] || `${process.env['HOME']}/.cache`}/invalid-drop/tools`;
  const built = (await readdir(cache).catch(() => [])).map((hash) => `${cache}/${hash}/bin/kubectl`);
  for (const candidate of ['kubectl', ...built]) {
    if ((await run(candidate, ['kustomize', '--help'])).exitCode === 0) return candidate;
  }
  return undefined;
}

/** @param folder below manifests; '.' is the whole installation */
export function render(folder: string): Promise<Rendered[]> {
  return renderFolder(join(MANIFESTS, folder));
}

async function renderFolder(folder: string): Promise<Rendered[]> {
  const { exitCode, stdout, stderr } = await run((await findKubectl()) ?? '', ['kustomize', folder]);
  if (exitCode !== 0) throw new Error(`${folder}: ${stderr}`);
  // Without the client's classes, so that tests compare with plain objects.
  return JSON.parse(JSON.stringify(loadAllYaml(stdout)));
}

/** A kustomization of a user's own, in a folder of its own. `path/to/invalid-drop` in it stands for this repository. */
export async function renderOwn(kustomization: string): Promise<Rendered[]> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'invalid-drop-')));
  try {
    const text = kustomization.replaceAll('path/to/invalid-drop/manifests', relative(folder, MANIFESTS));
    await writeFile(join(folder, 'kustomization.yaml'), text);
    return await renderFolder(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The one object of that kind, and of that name where one is given. */
export function one(objects: Rendered[], kind: string, name?: string): Rendered {
  const found = objects.filter(
    (object) => object.kind === kind && (name === undefined || object.metadata.name === name),
  );
  if (found.length !== 1 || found[0] === undefined) throw new Error(`${found.length} of ${kind} ${name ?? ''}`);
  return found[0];
}
