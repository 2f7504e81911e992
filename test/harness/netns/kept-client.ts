// Talks to the client that keeps one connection (test/harness/traffic/kept-connection.ts), and tells what became of that.
import type { Program } from './processes.ts';
import type { ConnectionFate, StrayKind } from './stray-kinds.ts';
import { aim, type ProgramRunner, readPosition, startNotes } from './stray-segments.ts';

/** Sends the client a line, and waits for the answer to it. @param limit milliseconds @throws Error where none comes */
export type AskKept = (line: string, limit?: number) => Promise<string>;

/** @returns a function that sends the client a line and waits for the answer; other lines are ignored */
export function talkTo(client: Program): AskKept {
  let asked = 0;
  return async (line, limit) => {
    asked++;
    client.child.stdin?.write(`${line}\n`);
    const [, answer = ''] = await client.waitForOutput(new RegExp(`^${asked} (.*)\n`, 'm'), limit);
    return answer;
  };
}

/**
 * Sends the changed segment, and where that was answered one more: later segments may be hit harder than the changed one.
 * @param limit milliseconds after which the connection counts as stuck
 */
export async function fateAfter(ask: AskKept, limit: number): Promise<ConnectionFate> {
  const first = await ask('send', limit).catch(() => 'nothing');
  const answer = first.startsWith('answered') ? await ask('send', limit).catch(() => 'nothing') : first;
  if (answer.startsWith('answered')) return 'fine';
  return /^lost (ECONNRESET|EPIPE)/.test(answer) ? 'reset' : 'stuck';
}

/** The change of a segment that is half a window over a connection's first window. */
export const NEAR_OVER = { sequence: 65_160 + 30_000 };

/**
 * A connection to port 9000 with one request, and one more of which the segment is changed.
 * @param sender where the client runs
 * @param limit as of fateAfter
 */
export async function fateOfChanged(sender: ProgramRunner, ask: AskKept, change: StrayKind['change'], limit: number) {
  await startNotes(sender);
  const source = Number((await ask('open')).split(' ')[1]);
  const [, sent = 0, received = 0] = (await ask('send')).split(' ').map(Number);
  await aim(sender, { source, destination: 9000 }, await readPosition(sender, sent, received), change);
  return fateAfter(ask, limit);
}
