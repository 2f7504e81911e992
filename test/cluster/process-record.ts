// A process that outlives the one that started it, remembered in a file by its id and its start, for ids come again.
import { readFile, writeFile } from 'node:fs/promises';

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

/** When a process started, or undefined where it has ended. */
async function startOf(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  return stat === undefined ? undefined : startIn(stat);
}

/**
 * @param stat of proc_pid_stat(5): fields 3, 20 and 22 are state, number of threads and start
 * @returns when the process started; undefined where it has ended. As long as a thread is left, the first may have
 *   ended already, its files are open and its ports taken.
 */
export function startIn(stat: string): string | undefined {
  // The second field is the program's name in parentheses, and may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state = 'X', threads, start] = [fields[0], Number(fields[17]), fields[19]];
  return state === 'X' || (state === 'Z' && threads <= 1) ? undefined : start;
}
