// Files that the kernel makes when they are read: /proc and /sys.
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';

/**
 * Text of a /proc file, or undefined where there is none or it may not be read. Synchronous: the kernel makes the text
 * at once, and the threads that an asynchronous read starts would each keep memory of their own.
 * @param limit bytes that are read at most; what follows is left out
 */
export function readProcFile(path: string, limit = Number.POSITIVE_INFINITY): string | undefined {
  try {
    return limit === Number.POSITIVE_INFINITY ? readFileSync(path, 'utf8') : readUpTo(path, limit);
  } catch {
    return undefined;
  }
}

/** One for all: reads end before the next begins, and the agent makes some for each pod every few seconds. */
const buffer = Buffer.allocUnsafeSlow(65_536);

function readUpTo(path: string, limit: number): string {
  const file = openSync(path, 'r');
  try {
    let text = '';
    while (text.length < limit) {
      const length = readSync(file, buffer, 0, Math.min(buffer.length, limit - text.length), null);
      if (length === 0) break;
      text += buffer.toString('latin1', 0, length);
    }
    return text;
  } finally {
    closeSync(file);
  }
}
