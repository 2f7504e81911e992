// One JSON object a line on standard output, as log collectors expect.
import { describeError } from './errors.ts';
import { printableJson } from './printable.ts';

export type Level = 'info' | 'warn' | 'error';

/** Writes one line. `event` is a stable word to search for; `details` hold plain data. */
export type Log = (level: Level, event: string, details?: Record<string, unknown>) => void;

/** Writes one line: plain data, and a message that is the same for every occurrence. pino's logger has it. */
export interface StructuredLog {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
}

/** A log that writes to `write`, stamped with `now` (milliseconds since 1970). */
export function makeLog(program: string, write: (line: string) => void, now: () => number = Date.now): Log {
  return (level, event, details = {}) => {
    const time = new Date(now()).toISOString();
    write(`${printableJson({ time, level, program, event, ...details })}\n`);
  };
}

/** The same log for parts that write as pino does. */
export function structuredLog(log: Log): StructuredLog {
  return {
    info: (details, message) => log('info', message, { ...details }),
    warn: (details, message) => log('warn', message, { ...details }),
  };
}

/** Logs an error once for as long as it stays the same. */
export class ErrorLog {
  private last = '';
  private readonly log: Log;

  constructor(log: Log) {
    this.log = log;
  }

  note(event: string, error: unknown): void {
    const described = describeError(error);
    if (this.last === described.message) return;
    this.last = described.message;
    this.log('error', event, described);
  }

  /** What comes next is logged, even if it is the same. */
  recovered(): void {
    this.last = '';
  }
}
