// Log lines on their way out, many in one write: one each would cost a tenth of an admission under load.
import { writeSync } from 'node:fs';

/** Milliseconds that an info line may wait. */
const DELAY = 50;
/** Characters that are written at once, without waiting. */
const BATCH = 16 * 1024;
/** Characters that wait at most where nobody reads; what comes on top is lost. */
const MOST = 4 * 1024 * 1024;
/** As pino begins a line of level info: what is worse is written at once. */
const INFO = '{"level":30,';

export interface LogLines {
  write(line: string): void;
  /** Writes what waits. To be called when the process exits. */
  flush(): void;
}

/** @param put writes text, and returns what could not be written yet */
export function batchLines(put: (text: string) => string, delay = DELAY): LogLines {
  let waiting = '';
  let isFull = false;
  let timer: NodeJS.Timeout | undefined;
  const flush = () => {
    clearTimeout(timer);
    timer = undefined;
    if (waiting !== '') waiting = put(waiting);
    isFull = waiting !== '';
    if (isFull) timer = setTimeout(flush, delay);
  };
  return {
    flush,
    write(line) {
      if (waiting.length < MOST) waiting += line;
      if (!isFull && (waiting.length >= BATCH || !line.startsWith(INFO))) return flush();
      timer ??= setTimeout(flush, delay);
    },
  };
}

/** Writes to a file descriptor; what a full pipe does not take is returned, what cannot be written is gone. */
export function putInto(fd: number): (text: string) => string {
  return (text) => {
    let rest = Buffer.from(text);
    try {
      while (rest.length > 0) rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      // No log is a reason to leave pods unguarded.
      return (error as NodeJS.ErrnoException).code === 'EAGAIN' ? rest.toString() : '';
    }
    return '';
  };
}
