// A process that outlives the one that started it, remembered in a file by its id and its start, for ids come again.
import { readFile, writeFile } from 'node:fs/promises';
import { startOf } from '../../test/harness/netns/process-start.ts';

export interface ProcessRecord {
  pid: number;
  /** In clock ticks since the machine started. */
  started: string;
}

/** Remembers a process that has just been started, or this one. */
export async function writeRecord(file: string, pid: number): Promise<void> {
  await writeFile(file, JSON.stringify({ pid, started: (await startOf(pid)) ?? '' }));
}

/** @returns the id of the remembered process where it still runs */
export async function livingPid(file: string): Promise<number | undefined> {
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (!text) return undefined;
  const { pid, started } = JSON.parse(text) as ProcessRecord;
  return (await startOf(pid)) === started ? pid : undefined;
}
