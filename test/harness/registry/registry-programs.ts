// The programs of a release, as tests run them with the test registry.
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import type { ReleaseProgramName } from '../../../tools/release/release-programs.ts';
import { must, run } from '../netns/processes.ts';
import { type RegistryAccess, registryEnvironment } from './registry-server.ts';

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
 * Puts a manifest as it is into the registry, as crane would not.
 * @param repository full name
 * @param reference tag, or the digest of `text`
 * @throws Error where the registry refuses it
 */
export async function putManifest(
  { address, user, password, caFile }: RegistryAccess,
  repository: string,
  reference: string,
  mediaType: string,
  text: string,
): Promise<void> {
  const ca = await readFile(caFile);
  const path = `/v2/${repository.slice(address.length + 1)}/manifests/${reference}`;
  const headers = { 'content-type': mediaType, 'content-length': Buffer.byteLength(text) };
  const call = request(`https://${address}${path}`, { method: 'PUT', ca, auth: `${user}:${password}`, headers });
  call.setTimeout(LIMIT, () => call.destroy(new Error(`no answer to PUT ${path}`)));
  call.end(text);
  const [answer] = (await once(call, 'response')) as [IncomingMessage];
  const said = Buffer.concat(await answer.toArray()).toString();
  if (answer.statusCode !== 201) throw new Error(`PUT ${path}: ${answer.statusCode} ${said}`);
}
