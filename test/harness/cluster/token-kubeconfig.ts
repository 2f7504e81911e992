// Acts on the cluster of this run as somebody else.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { kubectl } from './kubectl.ts';

/** A kubeconfig whose user has a token of a service account, and no certificate. @returns its path */
export async function tokenKubeconfig(t: Test, token: string): Promise<string> {
  const own = JSON.parse(await kubectl(['config', 'view', '--raw', '--minify', '--flatten', '-o', 'json']));
  const user = { name: 'holder', user: { token: token.trim() } };
  const context = { name: 'holder', context: { cluster: own.clusters[0].name, user: 'holder' } };
  const directory = await mkdtemp(join(tmpdir(), 'invalid-drop-kubeconfig-'));
  t.teardown(() => rm(directory, { recursive: true }));
  const contents = { ...own, users: [user], contexts: [context], 'current-context': 'holder' };
  await writeFile(`${directory}/kubeconfig`, JSON.stringify(contents), { mode: 0o600 });
  return `${directory}/kubeconfig`;
}
