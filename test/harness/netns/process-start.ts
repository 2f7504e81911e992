// Whether a process runs, and since when.
import { readFile } from 'node:fs/promises';

/** When a process started, or undefined where it has ended. */
export async function startOf(pid: number): Promise<string | undefined> {
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
