// Reads from an image's root file system what its bill of materials names.
import { readFile } from 'node:fs/promises';
import type { ImageContents } from './sbom.ts';

export async function readContents(root: string): Promise<ImageContents> {
  const release = await readFile(`${root}/usr/lib/os-release`, 'utf8');
  return {
    dpkgStatus: await readFile(`${root}/var/lib/dpkg/status`, 'utf8'),
    debianVersion: release.match(/^VERSION_ID="?([^"\n]*)/m)?.[1] ?? 'unknown',
    nodeVersion: nodeVersion(await readFile(`${root}/usr/local/bin/node`)),
    bundledPackages: JSON.parse(await readFile(`${root}/opt/invalid-drop/bundled-packages.json`, 'utf8')),
  };
}

/** From the address of its headers, which each Node binary holds: it need not run on this machine. */
function nodeVersion(binary: Buffer): string {
  const start = binary.indexOf('/node-v');
  const version = binary
    .subarray(start, start + 40)
    .toString('latin1')
    .match(/^\/node-v(\d+\.\d+\.\d+)/)?.[1];
  if (!version) throw new Error('no version found in usr/local/bin/node');
  return version;
}
