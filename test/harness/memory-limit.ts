// Whether a process stayed within the memory that its container has.
import { readFile } from 'node:fs/promises';

const UNITS: Record<string, number> = { Ki: 1024, Mi: 1024 ** 2, Gi: 1024 ** 3 };

/** @param quantity of Kubernetes, such as 128Mi */
export function bytesOf(quantity: string): number {
  const [, digits, unit = ''] = /^(\d+)(Ki|Mi|Gi)$/.exec(quantity) ?? [];
  return Number(digits) * (UNITS[unit] ?? Number.NaN);
}

/**
 * The most that a process ever had in memory, in bytes. It counts the pages of program files too, which the kernel takes
 * away before it kills a container: who stays below the limit in this sense is not killed.
 */
export async function readPeakMemory(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}
