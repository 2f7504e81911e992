// One JSON object a line on standard output, as log collectors expect.

export type Level = 'info' | 'warn' | 'error';

/** Writes one line. `event` is a stable word to search for; `details` hold plain data. */
export type Log = (level: Level, event: string, details?: Record<string, unknown>) => void;

/** A log that writes to `write`, stamped with `now` (milliseconds since 1970). */
export function makeLog(program: string, write: (line: string) => void, now: () => number = Date.now): Log {
  return (level, event, details = {}) => {
    const time = new Date(now()).toISOString();
    write(`${JSON.stringify({ time, level, program, event, ...details })}\n`);
  };
}
