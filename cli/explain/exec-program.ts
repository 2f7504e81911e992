// Runs the program in a container that is there, by exec over a websocket.
import { PassThrough, Writable } from 'node:stream';
import { Exec, type KubeConfig, type V1Status } from '@kubernetes/client-node';
import { objectAt, objectsAt, shortText } from '../../lib/json.ts';
import { errors } from '../cli-errors.ts';
import type { Relay } from './relay-output.ts';

export interface ExecTarget {
  namespace: string;
  pod: string;
  container: string;
  /** Ends soon after its standard input has ended. */
  command: string[];
}

/**
 * @param limitMs after which the connection is given up
 * @param stop ends the program early; its answer still comes
 * @returns the program's exit code
 * @throws CodedError EXPLAIN_EXEC, EXPLAIN_LOST
 */
export async function execProgram(
  config: KubeConfig,
  { namespace, pod, container, command }: ExecTarget,
  relay: Relay,
  note: (text: string) => void,
  limitMs: number,
  stop: AbortSignal,
): Promise<number> {
  const stdin = new PassThrough();
  const sink = (take: (chunk: Buffer) => void) =>
    new Writable({
      write(chunk: Buffer, _encoding, done) {
        take(chunk);
        done();
      },
    });
  const stdout = sink((chunk) => relay.take(chunk));
  const stderr = sink((chunk) => note(chunk.toString().trimEnd().slice(0, 2000)));
  let status: V1Status | undefined;
  const socket = await new Exec(config)
    .exec(namespace, pod, container, command, stdout, stderr, stdin, false, (one) => {
      status = one;
    })
    .catch((error: unknown) => {
      throw errors.EXPLAIN_EXEC(container, namespace, wordsOf(error));
    });
  // Something to read is enough: the end of a stream is not sent by all versions of the protocol.
  const interrupt = () => stdin.write('x');
  stop.addEventListener('abort', interrupt, { once: true });
  if (stop.aborted) interrupt();
  const limit = setTimeout(() => socket.close(), limitMs);
  try {
    await new Promise<void>((resolve) => {
      socket.onclose = () => resolve();
      socket.onerror = () => resolve();
    });
  } finally {
    clearTimeout(limit);
    stop.removeEventListener('abort', interrupt);
    stdin.destroy();
    relay.end();
  }
  if (status === undefined) throw errors.EXPLAIN_LOST(`the program in container ${container}`);
  return exitCodeOf(status);
}

/** Words of the API server (pkg/kubelet/.../remotecommand): the exit code is a cause of the failure. */
function exitCodeOf(status: V1Status): number {
  if (status.status === 'Success') return 0;
  const causes = objectsAt(objectAt(status, 'details'), 'causes');
  const code = Number(causes.find(({ reason }) => reason === 'ExitCode')?.['message']);
  return Number.isInteger(code) ? code : 2;
}

/** A websocket's error is an event. */
function wordsOf(error: unknown): string {
  return shortText(objectAt({ error }, 'error')['message'], 200) || String(error).slice(0, 200);
}
