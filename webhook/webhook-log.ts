// Where the webhook's log lines go.
import { destination } from 'pino';
import { printableLines } from '../lib/printable.ts';

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
