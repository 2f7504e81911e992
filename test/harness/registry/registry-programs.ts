// The programs of a release, as tests run them with the test registry.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ReleaseProgramName } from '../../../tools/release/release-programs.ts';
import { apply } from '../cluster/kubectl.ts';
import { must, run } from '../netns/processes.ts';
import { dockerConfigOf, type RegistryAccess, registryEnvironment } from './registry-server.ts';

/** A push of an image takes some seconds, a `helm install --wait` up to a minute. */
const LIMIT = 180_000;

type Options = Parameters<typeof run>[2] & { env?: Record<string, string> };

const withAccess = (access: RegistryAccess, { env, ...options }: Options = {}): Options => ({
  limit: LIMIT,
  ...options,
  env: { ...process.env, ...registryEnvironment(access), ...env } as Record<string, string>,
});

/** Runs a program that trusts the registry and has its password, whatever its exit code. */
export function tryProgram(access: RegistryAccess, name: ReleaseProgramName, args: string[], options?: Options) {
  return run(access.programs[name], args, withAccess(access, options));
}

/** As tryProgram, but an exit code other than 0 is an error. @returns what it printed */
export function runProgram(access: RegistryAccess, name: ReleaseProgramName, args: string[], options?: Options) {
  return must(access.programs[name], args, withAccess(access, options));
}

/**
 * Pushes the image, or the index of images, of an OCI archive.
 * @param name repository and tag below the registry's address
 * @returns reference with digest
 */
export async function pushArchive(access: RegistryAccess, archive: string, name: string): Promise<string> {
  const layout = await mkdtemp(join(tmpdir(), 'invalid-drop-push-'));
  try {
    await must('tar', ['-xf', archive, '-C', layout], { limit: LIMIT });
    return (await runProgram(access, 'crane', ['push', layout, `${access.address}/${name}`])).trim();
  } finally {
    await rm(layout, { recursive: true, force: true });
  }
}

/** Makes a pull secret with the registry's password in a namespace. */
export function addPullSecret(access: RegistryAccess, namespace: string, name: string): Promise<string> {
  return apply({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace },
    type: 'kubernetes.io/dockerconfigjson',
    stringData: { '.dockerconfigjson': JSON.stringify(dockerConfigOf(access)) },
  });
}
