// The release of this tree as the suite makes it, publishes it and tests it.
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { readReleaseList } from '../../../tools/release/release-list.ts';
import { must } from '../netns/processes.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
/** The folder that `make release` writes. */
export const RELEASE_FOLDER = `${ROOT}.run/e2e-release`;
/** Its images, below the root. */
export const RELEASED_IMAGES = '.run/e2e-release/images';
const KEYS = `${ROOT}.run/e2e-release-keys`;
export const PUBLIC_KEY = `${KEYS}/cosign.pub`;

/** @param address of the registry @returns environment variables of `make release` and `make publish` */
export function releaseEnvironment(address: string): Record<string, string> {
  return {
    RELEASE: RELEASE_FOLDER,
    REGISTRY: `${address}/invalid-drop`,
    // The tree may have changes: the provenance says so.
    ALLOW_DIRTY: '1',
    COSIGN_KEY: `${KEYS}/cosign.key`,
    COSIGN_PASSWORD: 'of-the-test',
  };
}

/** Makes the key that signs the release, once; its password is in COSIGN_PASSWORD. @param cosign path of the program */
export async function makeSigningKey(cosign: string): Promise<void> {
  if (existsSync(PUBLIC_KEY)) return;
  await mkdir(KEYS, { recursive: true, mode: 0o700 });
  await must(cosign, ['generate-key-pair'], { cwd: KEYS });
}

/** What the release consists of. @throws CodedError RELEASE_NOT_MADE */
export const openRelease = () => readReleaseList(RELEASE_FOLDER);
