// Asks the webhook that runs on this host, as a command in its own container does.
import { get } from 'node:http';
import { errors } from './webhook-errors.ts';

const TIMEOUT_MS = 20_000;

/**
 * @param port the plain port
 * @param accept media type
 * @returns the answer's body, for any status
 * @throws CodedError WEBHOOK_UNREACHABLE
 */
export function askLocal(port: number, path: string, accept: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const call = get({ host: 'localhost', port, path, headers: { accept }, signal }, (response) => {
      response.toArray().then((chunks) => resolve(Buffer.concat(chunks).toString()), reject);
    });
    call.on('error', (error) => reject(errors.WEBHOOK_UNREACHABLE(port, error.message)));
  });
}
