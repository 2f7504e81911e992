// Asks the program that runs on this host, as a command in its own container does.
import { get } from 'node:http';

const TIMEOUT_MS = 20_000;

/**
 * @param port the plain port
 * @param accept media type
 * @param unreachable makes the error where nothing answers
 * @returns the answer's body, for any status
 */
export function askLocal(
  port: number,
  path: string,
  accept: string,
  unreachable: (port: number, why: string) => Error,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const call = get({ host: 'localhost', port, path, headers: { accept }, signal }, (response) => {
      response.toArray().then((chunks) => resolve(Buffer.concat(chunks).toString()), reject);
    });
    call.on('error', (error) => reject(unreachable(port, error.message)));
  });
}
