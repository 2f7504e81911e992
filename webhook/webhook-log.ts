// The webhook's log lines: what its parts need of a logger, and where the lines go.
import { destination } from 'pino';
import { printableLines } from '../lib/printable.ts';

/** Writes one line: plain data, and a message that is the same for every occurrence. pino's logger has it. */
export interface WebhookLog {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
}

/** Bytes that wait at most while the reader of the log stalls. */
const MOST = 4 * 1024 * 1024;

/**
 * Writes without blocking, so that a stalled reader never stops admissions: lines beyond MOST are lost. What waits is
 * written when the process ends.
 * @param fd file descriptor
 */
export function logDestination(fd: number) {
  const output = destination({ dest: fd, sync: false, maxLength: MOST });
  // A line may quote what others wrote, and is read on terminals.
  return { write: (line: string) => void output.write(printableLines(line)) };
}
