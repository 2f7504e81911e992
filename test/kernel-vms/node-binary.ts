// The Node that ships, for the architecture of a guest.
import { must } from '../harness/netns/processes.ts';
import { folderOnce } from './cache.ts';
import type { Kernel } from './kernels.ts';

const LIMIT = 300_000;
/** Node's names of architectures, by Debian's. */
const NAMES = { amd64: 'x64', arm64: 'arm64' };

/**
 * The program, from npm where it is not this machine's: the package that the package `node` installs there.
 * @param own path of this machine's, and `version` what it says of itself, such as v26.10.0
 */
export async function nodeFor(
  cache: string,
  architecture: Kernel['architecture'],
  own: string,
  version: string,
): Promise<string> {
  const name = NAMES[architecture];
  if (process.arch === name) return own;
  const folder = await folderOnce(`${cache}/node-${architecture}-${version}`, async (unfinished) => {
    const options = ['--silent', `--pack-destination=${unfinished}`];
    const file = await must('npm', ['pack', ...options, `node-linux-${name}@${version.slice(1)}`], { limit: LIMIT });
    await must('tar', ['-xzf', file.trim(), 'package/bin/node'], { cwd: unfinished, limit: LIMIT });
  });
  return `${folder}/package/bin/node`;
}
