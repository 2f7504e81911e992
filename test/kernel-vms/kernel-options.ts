// What a run of the kernel tests can be told, by environment (make test-kernels KERNEL=6.1) or by flag.
import { type OptionTable, oneOf, textLike, wholeNumber } from '../../lib/options.ts';
import { KERNELS } from './kernels.ts';

export const OPTIONS = {
  kernel: oneOf(['all', ...KERNELS.map(({ name }) => name)], {
    env: 'KERNEL',
    default: 'all',
    help: 'The kernel to boot.',
  }),
  rulesets: wholeNumber(1, 1_000_000, {
    env: 'RULESETS',
    default: 20,
    help: 'How many random rulesets are compared with each kernel.',
  }),
  seed: textLike(/^(\d{1,9}|random)$/, 'a whole number or random', {
    env: 'SEED',
    default: '1',
    help: 'The first random ruleset.',
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
