// Reads the bodies of reviews, whoever sends them, in bounded memory and time (docs/decisions/0019).
import type { IncomingMessage } from 'node:http';
import { setImmediate as nextTurn, setTimeout as wait } from 'node:timers/promises';
import { errors } from './webhook-errors.ts';

/** Bodies at the limit that may be in memory at once. */
const FULL_BODIES = 8;
/** Bytes that a chunk of a body takes in memory beside its own: bodies may come byte by byte. */
const CHUNK_OVERHEAD = 256;
/** Bytes. Pods are seldom larger than a quarter of it. Larger bodies are read one at a time. */
const LARGE = 128 * 1024;
/**
 * JSON values in a large body: thirty times those of a pod with a sidecar. A value of two bytes takes up to 150 in memory,
 * and its share of parsing does not depend on its size.
 */
const MOST_VALUES = 50_000;

/** A body that has not arrived completely. */
interface Arriving {
  fail(error: Error): void;
}

/**
 * @param limit bytes of one body
 * @returns reads one body. Rejects with CodedError REVIEW_TOO_LARGE, REVIEW_TOO_COMPLEX or REVIEWS_TOO_MANY,
 *   or with SyntaxError
 */
export function createBodyReader(limit: number): (request: IncomingMessage) => Promise<unknown> {
  const most = FULL_BODIES * limit;
  /** The one that began first comes first. */
  const arriving = new Set<Arriving>();
  let held = 0;
  let turn = Promise.resolve();

  /** Once the bodies before are answered; then as long a pause as it took, for those that are not large. */
  function inTurn<T>(work: () => T): Promise<T> {
    const done = turn.then(work);
    turn = turn.then(async () => {
      const began = performance.now();
      await done.catch(() => undefined);
      await nextTurn();
      await wait(performance.now() - began);
    });
    return done;
  }

  function receive(request: IncomingMessage, note: (bytes: number) => void): Promise<Buffer[]> {
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = [];
      let [bytes, over] = [0, false];
      const end = () => {
        over = true;
        arriving.delete(body);
      };
      const body: Arriving = {
        fail(error) {
          if (over) return;
          end();
          chunks.length = 0;
          note(0);
          reject(error);
        },
      };
      arriving.add(body);
      request.on('data', (chunk: Buffer) => {
        if (over) return;
        bytes += chunk.length;
        if (bytes > limit) return body.fail(errors.REVIEW_TOO_LARGE(limit));
        chunks.push(chunk);
        note(bytes + chunks.length * CHUNK_OVERHEAD);
        // The slowest is given up: an API server sends a body within milliseconds.
        for (const oldest of arriving) {
          if (held <= most) break;
          oldest.fail(errors.REVIEWS_TOO_MANY());
        }
      });
      request.on('end', () => {
        if (over) return;
        end();
        resolve(chunks);
      });
      request.on('error', (error) => body.fail(error));
      request.on('close', () => body.fail(new Error('it ended early')));
    });
  }

  return async (request) => {
    if (Number(request.headers['content-length']) > limit) throw errors.REVIEW_TOO_LARGE(limit);
    let own = 0;
    const note = (bytes: number) => {
      held += bytes - own;
      own = bytes;
    };
    try {
      const chunks = await receive(request, note);
      const size = chunks.reduce((sum, { length }) => sum + length, 0);
      if (size <= LARGE) return parse(chunks);
      return await inTurn(() => {
        // The API server has given it up, and the pod is created without us.
        if (request.socket.destroyed) throw errors.REVIEWS_TOO_MANY();
        return parse(chunks, MOST_VALUES);
      });
    } finally {
      note(0);
    }
  };

  function parse(chunks: Buffer[], mostValues?: number): unknown {
    const body = Buffer.concat(chunks.splice(0));
    if (body.length === 0) throw new SyntaxError('it is empty');
    if (mostValues !== undefined && countValues(body) > mostValues) throw errors.REVIEW_TOO_COMPLEX(mostValues);
    return JSON.parse(body.toString());
  }
}

const [QUOTE, COMMA, BRACKET, BACKSLASH, BRACE] = [0x22, 0x2c, 0x5b, 0x5c, 0x7b];

/** How many values JSON text holds, at most: each is the first of an object or list, or follows a comma. */
export function countValues(text: Uint8Array): number {
  let count = 0;
  let inString = false;
  for (let index = 0; index < text.length; index++) {
    const byte = text[index];
    if (inString) {
      if (byte === BACKSLASH) index++;
      else if (byte === QUOTE) inString = false;
    } else if (byte === QUOTE) inString = true;
    else if (byte === COMMA || byte === BRACKET || byte === BRACE) count++;
  }
  return count;
}
