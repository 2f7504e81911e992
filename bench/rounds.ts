// Bounds a series of samples in number and in time, so that the bench ends in its five minutes on a loaded machine too.

/**
 * The numbers of the rounds, from 0.
 * @param count how many at most
 * @param least how many in any case: a median of fewer says nothing
 * @param seconds after which no round begins that is not among the least
 * @param now milliseconds
 */
export function* rounds(count: number, least: number, seconds: number, now: () => number): Generator<number> {
  const end = now() + seconds * 1000;
  for (let round = 0; round < count && (round < least || now() < end); round++) yield round;
}
