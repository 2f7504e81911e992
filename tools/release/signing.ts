// Signatures by cosign with a key of one's own, without a transparency log: nothing but the registry is asked.
import { writeFile } from 'node:fs/promises';
import { must } from '../../test/harness/netns/processes.ts';

const LIMIT = 120_000;
/** A signing configuration without services: no certificate authority, no timestamps, no transparency log. */
const NO_SERVICES = JSON.stringify({ mediaType: 'application/vnd.dev.sigstore.signingconfig.v0.2+json' });

export interface Signer {
  /** Path of cosign. */
  cosign: string;
  /** Path or address of the private key, as cosign's --key takes it; its password is in COSIGN_PASSWORD. */
  key: string;
  /** A file of signingConfig. */
  config: string;
  /** Flags for a registry without TLS. */
  registryFlags: string[];
}

/** @param file where the signing configuration is written; it must stay while the signer is used */
export async function makeSigner(
  cosign: string,
  key: string,
  file: string,
  { plainHttp = false }: { plainHttp?: boolean } = {},
): Promise<Signer> {
  await writeFile(file, NO_SERVICES);
  return { cosign, key, config: file, registryFlags: plainHttp ? ['--allow-http-registry'] : [] };
}

/** Signs a file. @param bundle the signature's file, a Sigstore bundle */
export async function signFile({ cosign, ...signer }: Signer, file: string, bundle: string): Promise<void> {
  await must(cosign, ['sign-blob', ...common(signer), '--bundle', bundle, file], { limit: LIMIT });
}

/** Signs an in-toto statement. @param file one of its subjects, whose hash cosign looks for in the statement */
export async function signStatement(
  { cosign, ...signer }: Signer,
  statement: string,
  file: string,
  bundle: string,
): Promise<void> {
  const args = ['attest-blob', ...common(signer), '--statement', statement, '--bundle', bundle, file];
  await must(cosign, args, { limit: LIMIT });
}

/** Signs what is in a registry, and the images in it where it is an index. @param reference NAME@DIGEST */
export async function signReference({ cosign, ...signer }: Signer, reference: string): Promise<void> {
  const args = ['sign', ...common(signer), ...signer.registryFlags, '--recursive', reference];
  await must(cosign, args, { limit: LIMIT });
}

/**
 * Attaches a signed attestation.
 * @param type a predicate type by cosign's name, such as slsaprovenance1 or cyclonedx
 * @param predicate file of the predicate
 * @param reference NAME@DIGEST
 */
export async function attest(
  { cosign, ...signer }: Signer,
  type: string,
  predicate: string,
  reference: string,
): Promise<void> {
  const args = ['attest', ...common(signer), ...signer.registryFlags, '--type', type, '--predicate', predicate];
  await must(cosign, [...args, reference], { limit: LIMIT });
}

/** The flags do not hold the password: cosign reads it from the environment. */
function common({ key, config }: Pick<Signer, 'key' | 'config'>): string[] {
  return ['--yes', '--key', key, '--signing-config', config];
}
