// Which kernels the tests run on, where they come from, and the options of a run, set by environment (make test-kernels
// KERNEL=6.1) or flag.
import { type OptionTable, oneOf, textLike, wholeNumber } from '../../lib/options.ts';

/** A kernel, and where to get it. */
export interface Kernel {
  /** As the option KERNEL has it. */
  name: string;
  /** The part of the release that its behaviour depends on, such as 6.1. */
  series: string;
  /** Debian's code name of the release that has it. */
  suite: string;
  /** As Debian calls it. */
  architecture: 'amd64' | 'arm64';
}

/** A kernel as qemu wants it: its image, and an archive of the modules that the tests need. */
export interface KernelFiles {
  /** As uname -r prints it. */
  release: string;
  image: string;
  modules: string;
}

export const KERNELS: Kernel[] = [
  { name: '5.10', series: '5.10', suite: 'bullseye', architecture: 'amd64' },
  { name: '6.1', series: '6.1', suite: 'bookworm', architecture: 'amd64' },
  { name: '6.12', series: '6.12', suite: 'trixie', architecture: 'amd64' },
  { name: 'arm64', series: '6.12', suite: 'trixie', architecture: 'arm64' },
];

/**
 * The kernels that are run.
 * @param wanted a name, `all` of those of amd64, for another architecture is emulated far more slowly, or `turn`: one of
 *   them, which the commit chooses
 * @param commit its hash
 */
export function chooseKernels(wanted: string, commit = '0'.repeat(16)): Kernel[] {
  const all = KERNELS.filter(({ architecture }) => architecture === 'amd64');
  // The first digits choose the suites (.ci/run): with the same ones, those with this suite would always have the same kernel.
  const turn = Number.parseInt(commit.slice(8, 16), 16) % all.length;
  if (wanted === 'turn') return all.slice(turn, turn + 1);
  return wanted === 'all' ? all : KERNELS.filter(({ name }) => name === wanted);
}

export const OPTIONS = {
  kernel: oneOf(['all', 'turn', ...KERNELS.map(({ name }) => name)], {
    env: 'KERNEL',
    default: 'all',
    help: 'The kernel to boot; turn: the one that the commit chooses.',
  }),
  rulesets: wholeNumber(1, 1_000_000, {
    env: 'RULESETS',
    default: 20,
    help: 'How many random rulesets are compared with each kernel.',
  }),
  connections: wholeNumber(1, 1_000_000, {
    env: 'CONNECTIONS',
    default: 200,
    help: 'How many connections with a changed segment are compared without the programs and with them.',
  }),
  seed: textLike(/^(\d{1,9}|random)$/, 'a whole number or random', {
    env: 'SEED',
    default: '1',
    help: 'The first random ruleset, and the first changed connection.',
  }),
  tests: textLike(/^[^,]+(,[^,]+)*$/, 'parts of their paths, commas between', {
    env: 'TESTS',
    default: '/',
    help: 'Which test files are run.',
  }),
  docs: oneOf(['check', 'write'], {
    env: 'DOCS',
    default: 'check',
    help: 'What to do about the table in docs/kernels.md.',
  }),
} satisfies OptionTable;
