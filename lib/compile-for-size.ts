// Flags of V8 for programs that stay and do little (docs/decisions/0009).
import { setFlagsFromString } from 'node:v8';

/** What the flag --optimize-for-size on the command line does, without which the space for new objects grows to 16 MB. */
const SMALL_YOUNG_SPACE = ['--optimize-for-size', '--semi-space-growth-factor=1'];

/** So little work never earns back what compiling its code for speed costs in memory and time. */
export function compileForSize(): void {
  for (const flag of ['--no-opt', '--no-maglev', '--no-sparkplug', ...SMALL_YOUNG_SPACE]) setFlagsFromString(flag);
}
