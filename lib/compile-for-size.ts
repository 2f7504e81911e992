// Flags of V8 for programs that stay and do little (docs/decisions/0009).
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** What the flag --optimize-for-size on the command line does, without which the space for new objects grows to 16 MB. */
const SMALL_YOUNG_SPACE = ['--optimize-for-size', '--semi-space-growth-factor=1'];

/** So little work never earns back what compiling its code for speed costs in memory and time. */
export function compileForSize(): void {
  for (const flag of ['--no-opt', '--no-maglev', '--no-sparkplug', ...SMALL_YOUNG_SPACE]) setFlagsFromString(flag);
}

/** Milliseconds until what starts beside the program has come up, and between one time and the next. */
const [SETTLED, PERIOD] = [10_000, 600_000];
/** Milliseconds between collections of what is new, half a millisecond each: without them it grows to a megabyte. */
const MINOR_PERIOD = 10_000;

/**
 * From now on gives back what the start has taken, and what has become garbage since: V8 would keep 1.5 MB for as long as the
 * program does little. It takes some 30 ms each time, in place of collections that V8 begins when a program is idle.
 */
export function giveBackMemory(): void {
  for (const flag of ['--expose-gc', '--no-incremental-marking']) setFlagsFromString(flag);
  const collect: NodeJS.GCFunction = runInNewContext('gc');
  const giveBack = () => {
    // The code of the start is not needed again; V8 would let go of it after six collections.
    setFlagsFromString('--stress-flush-code');
    collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
    setFlagsFromString('--no-stress-flush-code');
  };
  setTimeout(giveBack, SETTLED).unref();
  setInterval(giveBack, PERIOD).unref();
  setInterval(() => collect({ type: 'minor' }), MINOR_PERIOD).unref();
}
