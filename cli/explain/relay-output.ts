// What the program in the cluster prints, as it comes: escaped for a terminal, and bounded.
import { StringDecoder } from 'node:string_decoder';
import { printableLines } from '../../lib/printable.ts';

/** Bytes of one run: a thousand lines and a summary are far less. */
const MOST_BYTES = 16 * 1024 * 1024;

export interface Relay {
  /** Prints what follows the bytes that were printed before. */
  take(bytes: Uint8Array): void;
  end(): void;
  /** Bytes that were taken. */
  readonly taken: number;
}

/** @param print of text that does nothing to a terminal */
export function makeRelay(print: (text: string) => void, note: (text: string) => void): Relay {
  const decoder = new StringDecoder('utf8');
  let taken = 0;
  const show = (text: string) => {
    if (text !== '') print(printableLines(text));
  };
  return {
    get taken() {
      return taken;
    },
    take(bytes) {
      const left = MOST_BYTES - taken;
      taken += bytes.length;
      if (left <= 0) return;
      show(decoder.write(Buffer.from(bytes.subarray(0, left))));
      if (bytes.length > left) note(`the output is cut after ${MOST_BYTES} bytes`);
    },
    end: () => show(decoder.end()),
  };
}
