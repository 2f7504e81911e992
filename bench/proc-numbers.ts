// Memory and CPU time of a process, as the kernel accounts for them.
import { readdir, readFile } from 'node:fs/promises';

/** USER_HZ: the unit of times in /proc/PID/stat is the same 10 ms on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100;

/** Bytes. `anonymous` is memory that no file backs; `private` is what would be free if the process ended. */
export interface Memory {
  rss: number;
  anonymous: number;
  private: number;
}

/** @param text /proc/PID/smaps_rollup (proc(5), Linux 4.14) */
export function parseMemory(text: string): Memory {
  const bytes = (name: string) => Number(text.match(new RegExp(`^${name}: +(\\d+) kB`, 'm'))?.[1] ?? Number.NaN) * 1024;
  return {
    rss: bytes('Rss'),
    anonymous: bytes('Anonymous'),
    private: bytes('Private_Clean') + bytes('Private_Dirty'),
  };
}

/**
 * User and system time, with that of children that were waited for.
 * @param text /proc/PID/stat: the name in parentheses may hold spaces; utime, stime, cutime, cstime are fields 14 to 17
 * @returns seconds
 */
export function parseCpuSeconds(text: string): number {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) / TICKS_PER_SECOND;
}

/**
 * When a process began.
 * @param stat /proc/PID/stat: starttime is field 22, in ticks after the boot
 * @param uptime /proc/uptime: seconds since the boot come first
 * @returns how many seconds ago
 */
export function parseAgeSeconds(stat: string, uptime: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(uptime.split(' ')[0]) - Number(fields[19]) / TICKS_PER_SECOND;
}

export async function readAgeSeconds(pid: number): Promise<number> {
  const [stat, uptime] = await Promise.all([readFile(`/proc/${pid}/stat`, 'utf8'), readFile('/proc/uptime', 'utf8')]);
  return parseAgeSeconds(stat, uptime);
}

export async function readMemory(pid: number): Promise<Memory> {
  return parseMemory(await readFile(`/proc/${pid}/smaps_rollup`, 'utf8'));
}

/** Seconds of the process, of its children that have ended, and of those that run. */
export async function readCpuSeconds(pid: number): Promise<number> {
  const pids = [pid, ...(await childrenOf(pid))];
  const seconds = await Promise.all(
    pids.map(async (one) => {
      // A child that has ended meanwhile is in its parent's numbers.
      const text = await readFile(`/proc/${one}/stat`, 'utf8').catch((error) => {
        if (one === pid) throw error;
      });
      return text === undefined ? 0 : parseCpuSeconds(text);
    }),
  );
  return seconds.reduce((sum, one) => sum + one, 0);
}

/** Children that run now, whichever thread started them. */
export async function childrenOf(pid: number): Promise<number[]> {
  const threads = await readdir(`/proc/${pid}/task`);
  const lists = await Promise.all(threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/children`, 'utf8')));
  return lists.flatMap((list) =>
    list
      .split(' ')
      .filter((text) => text !== '')
      .map(Number),
  );
}
