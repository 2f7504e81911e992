// Archives of the kind that the kernel unpacks as its first file system: cpio, one behind the other.
import { createReadStream, createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { must } from '../harness/netns/processes.ts';

/** Packs a folder. Symbolic links stay what they are. */
export async function packFolder(folder: string, file: string): Promise<void> {
  // Node's own readdir goes into folders behind links.
  const input = await must('find', ['.'], { cwd: folder });
  const format = ['--create', '--format=newc', '--owner=0:0', '--quiet'];
  await must('cpio', [...format, `--file=${file}`], { cwd: folder, input, limit: 120_000 });
}

/** Writes the archives one behind the other: what is in a later one takes the place of what an earlier one has. */
export async function joinArchives(archives: string[], file: string): Promise<void> {
  const output = createWriteStream(file);
  for (const archive of archives) await pipeline(createReadStream(archive), output, { end: false });
  await new Promise<void>((resolve, reject) =>
    output.end((error?: Error | null) => (error ? reject(error) : resolve())),
  );
}
