// SHA256SUMS: the files of a release, as sha256sum(1) writes and checks them.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { errors } from './release-errors.ts';

export interface SummedFile {
  /** Path below the release's folder. */
  path: string;
  bytes: number;
  /** In hexadecimal. */
  sha256: string;
}

export const SUMS_FILE = 'SHA256SUMS';
/** What the name of a signature ends in. */
export const SIGNATURE = '.sigstore.json';

/** The files below a folder, in order of their paths; neither the sums nor signatures, which are made after them. */
export async function sumFiles(folder: string): Promise<SummedFile[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => `${entry.parentPath}/${entry.name}`.slice(folder.length + 1))
    .filter((path) => path !== SUMS_FILE && !path.endsWith(SIGNATURE))
    .sort();
  const files: SummedFile[] = [];
  for (const path of paths) files.push({ path, ...(await sumFile(`${folder}/${path}`)) });
  return files;
}

/** Size and SHA-256 of a file of any size. */
export async function sumFile(path: string): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return { bytes: (await stat(path)).size, sha256: hash.digest('hex') };
}

/** The text of SHA256SUMS. */
export function sumsText(files: SummedFile[]): string {
  return files.map(({ path, sha256 }) => `${sha256}  ${path}\n`).join('');
}

/** @returns path to hash. @throws where a line is not one of SHA256SUMS */
export function parseSums(text: string): Map<string, string> {
  return new Map(
    text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const [, sha256 = '', path = ''] = line.match(/^([0-9a-f]{64}) [ *](.+)$/) ?? [];
        if (!path) throw errors.RELEASE_ALTERED(SUMS_FILE, `has the line "${line}", which is not "HASH  FILE"`);
        return [path, sha256] as const;
      }),
  );
}

/** Writes SHA256SUMS into the folder. */
export async function writeSums(folder: string): Promise<SummedFile[]> {
  const files = await sumFiles(folder);
  await writeFile(`${folder}/${SUMS_FILE}`, sumsText(files));
  return files;
}

/** @throws CodedError RELEASE_ALTERED where a file is missing, is another one, or is not in SHA256SUMS */
export async function checkSums(folder: string): Promise<void> {
  const text = await readFile(`${folder}/${SUMS_FILE}`, 'utf8').catch((error: Error) => {
    throw errors.RELEASE_NOT_MADE(folder, error.message);
  });
  const wanted = parseSums(text);
  const found = new Map((await sumFiles(folder)).map(({ path, sha256 }) => [path, sha256]));
  for (const [path, sha256] of wanted) {
    const has = found.get(path);
    if (has === undefined) throw errors.RELEASE_ALTERED(path, `is in ${SUMS_FILE}, and is missing`);
    if (has !== sha256) throw errors.RELEASE_ALTERED(path, `has SHA-256 ${has}, and ${SUMS_FILE} says ${sha256}`);
  }
  for (const path of found.keys()) {
    if (!wanted.has(path)) throw errors.RELEASE_ALTERED(path, `is not in ${SUMS_FILE}`);
  }
}
