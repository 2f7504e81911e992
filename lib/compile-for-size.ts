// Flags of V8 for programs that stay and do little (docs/decisions/0009).
import { setFlagsFromString } from 'node:v8';

/** So little work never earns back what compiling its code for speed costs in memory and time. */
export function compileForSize(): void {
  for (const flag of ['--no-opt', '--no-maglev', '--no-sparkplug']) setFlagsFromString(flag);
}
