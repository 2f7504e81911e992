// The kernels that the tests are run on: Debian's, by the release that has them.

/** A kernel, and where to get it. */
export interface Kernel {
  /** What a user asks for. */
  name: string;
  /** The part of the release that its behaviour depends on, such as 6.1. */
  series: string;
  /** Debian's code name of the release that has it. */
  suite: string;
  /** As Debian calls it. */
  architecture: 'amd64' | 'arm64';
}

export const KERNELS: Kernel[] = [
  { name: '5.10', series: '5.10', suite: 'bullseye', architecture: 'amd64' },
  { name: '6.1', series: '6.1', suite: 'bookworm', architecture: 'amd64' },
  { name: '6.12', series: '6.12', suite: 'trixie', architecture: 'amd64' },
  { name: 'arm64', series: '6.12', suite: 'trixie', architecture: 'arm64' },
];

/**
 * The kernels that are run.
 * @param wanted a name, or `all` of those of amd64: another architecture is emulated far more slowly
 */
export function chooseKernels(wanted: string): Kernel[] {
  return KERNELS.filter(({ name, architecture }) => wanted === name || (wanted === 'all' && architecture === 'amd64'));
}
