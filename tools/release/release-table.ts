// What `make release` prints at its end.
import type { SummedFile } from './checksums.ts';
import { PLATFORMS, type ReleasedImage } from './release-list.ts';

/** File, bytes, SHA-256. */
export function releaseTable(files: SummedFile[]): string {
  return table([['file', 'bytes', 'sha256'], ...files.map(({ path, bytes, sha256 }) => [path, String(bytes), sha256])]);
}

/** What a node of each architecture pulls, by image. The images begin with the same layer, which a node pulls once. */
export function pullTable(images: Pick<ReleasedImage, 'name' | 'platforms'>[]): string {
  return table([
    ['image', ...PLATFORMS.map((platform) => `MB to pull, ${platform}`)],
    ...images.map(({ name, platforms }) => [
      name,
      ...PLATFORMS.map((platform) => (platforms[platform].bytes / 1e6).toFixed(1)),
    ]),
  ]);
}

/** Columns as wide as their widest cell; numbers to the right. */
function table(rows: string[][]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return /^[\d.]+$/.test(rows[1]?.[column] ?? '') ? cell.padStart(width) : cell.padEnd(width);
      })
      .join('  ')
      .trimEnd(),
  );
  return `${lines.join('\n')}\n`;
}
