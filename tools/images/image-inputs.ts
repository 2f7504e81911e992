// What an image is made of, as one hash: the same hash needs no build.
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';

/** Files and folders that the images are built from; .dockerignore names the same. */
export const SOURCES = [
  'LICENSE',
  'build.ts',
  'init-image',
  'lib',
  'package-lock.json',
  'package.json',
  'tools/images/bundled-packages.ts',
  'tsconfig.json',
  'webhook',
];

/** SHA-256 over the names and contents of the sources in `context`, and over `others`. */
export async function hashInputs(context: string, others: unknown): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify(others));
  const files = await Promise.all(SOURCES.map((source) => filesUnder(context, source)));
  for (const file of files.flat().sort()) {
    const content = await readFile(`${context}/${file}`);
    hash.update(`${file}\0${content.length}\0`).update(content);
  }
  return hash.digest('hex');
}

async function filesUnder(context: string, source: string): Promise<string[]> {
  const entries = await readdir(`${context}/${source}`, { recursive: true, withFileTypes: true }).catch(
    () => undefined,
  );
  if (!entries) return [source];
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => `${entry.parentPath.slice(context.length + 1)}/${entry.name}`);
}
