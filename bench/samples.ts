// The samples of the bench: how many there are, bounded in number and in time so that it ends in its five minutes on a
// loaded machine too, and their statistics. Medians, because the machine is shared and its noise has a long tail.

/**
 * A quantile by linear interpolation between the two nearest samples.
 * @param share from 0 (least) to 1 (greatest)
 * @throws RangeError where there are no samples
 */
export function quantile(samples: number[], share: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const position = (sorted.length - 1) * share;
  const [low, high] = [sorted[Math.floor(position)], sorted[Math.ceil(position)]];
  if (low === undefined || high === undefined) throw new RangeError('no samples');
  return low + (high - low) * (position - Math.floor(position));
}

export function median(samples: number[]): number {
  return quantile(samples, 0.5);
}

/** The ratio of each pair of samples. */
export function ratios(values: number[], references: number[]): number[] {
  return values.flatMap((value, i) => {
    const reference = references[i];
    return reference === undefined ? [] : [value / reference];
  });
}

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
