// What the programs that ours start may take of the container's memory. Beyond its limit the kernel kills all that run
// in the container, and nobody says why.
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Bytes; without limits where the container has none. */
export interface MemoryBudget {
  /** Of all programs that run at the same time. */
  programs: number;
  /** Of what one program prints: it is parsed, and takes many times its size then. */
  output: number;
}

/** With a limit of 128 MiB, nft may take 54 MiB and print 2.6 MiB: 6,000 rules, for which Node takes 51 MiB. */
const [PROGRAMS_SHARE, OUTPUT_SHARE] = [0.42, 1 / 50];
/** A limit beyond this is none: cgroups of version 1 have a very large number there. */
const NO_LIMIT = 2 ** 50;

/** @param limit bytes that the container may take; 0 where there is no limit */
export function memoryBudget(limit: number = process.constrainedMemory()): MemoryBudget {
  if (limit === 0 || limit > NO_LIMIT) return { programs: Number.POSITIVE_INFINITY, output: Number.POSITIVE_INFINITY };
  return { programs: Math.floor(limit * PROGRAMS_SHARE), output: Math.floor(limit * OUTPUT_SHARE) };
}

/** Milliseconds between looks at the programs: nft takes some hundred megabytes a second. */
const PERIOD = 10;
const watched = new Map<number, { bytes: number; exceeded: () => void }>();
let timer: NodeJS.Timeout | undefined;

/**
 * Watches a program for as long as it runs.
 * @param bytes that it may take, and all watched programs together where none of them may take more
 * @param exceeded called where they take more: for each that does alone, else for the one that takes most
 */
export function watchMemory(child: ChildProcess, bytes: number, exceeded: () => void): void {
  const { pid } = child;
  if (pid === undefined || bytes === Number.POSITIVE_INFINITY) return;
  watched.set(pid, { bytes, exceeded });
  child.once('exit', () => {
    watched.delete(pid);
    if (watched.size === 0) clearInterval(timer);
  });
  if (watched.size === 1) timer = setInterval(compare, PERIOD);
}

function compare(): void {
  const sizes = [...watched].map(([pid, one]) => ({ ...one, size: anonymousMemory(pid) }));
  const alone = sizes.filter(({ size, bytes }) => size > bytes);
  for (const { exceeded } of alone) exceeded();
  if (alone.length > 0) return;
  const together = Math.max(...sizes.map(({ bytes }) => bytes));
  if (sizes.reduce((sum, { size }) => sum + size, 0) <= together) return;
  sizes.toSorted((a, b) => b.size - a.size)[0]?.exceeded();
}

/** What cannot be taken back from a process, in bytes; 0 where it has ended. */
export function anonymousMemory(pid: number): number {
  try {
    return Number(/^RssAnon:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}
