// How long to wait before trying again.

/**
 * Delay before a further attempt: doubles with each failure, and spreads replicas that failed at the same instant.
 * @param failures in a row, 1 or more
 * @param random from 0 to 1
 * @returns milliseconds, half to all of min(1 s * 2^(failures - 1), 30 s)
 */
export function backoffMs(failures: number, random: number): number {
  const ceiling = Math.min(1000 * 2 ** (failures - 1), 30_000);
  return ceiling * (0.5 + random / 2);
}
