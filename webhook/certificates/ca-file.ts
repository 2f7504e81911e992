// Where clients without a cluster find the authority that they are to trust.
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

/**
 * Writes the CA certificate, and makes its folder. A reader sees the old file or the new one, never half of it.
 * @param pem certificate; no key
 * @returns the absolute path
 * @throws the file system's error, which names the path
 */
export async function writeCaFile(path: string, pem: string): Promise<string> {
  const target = resolve(path);
  await mkdir(dirname(target), { recursive: true });
  const partial = `${target}.${process.pid}.tmp`;
  await writeFile(partial, pem);
  await rename(partial, target);
  return target;
}
