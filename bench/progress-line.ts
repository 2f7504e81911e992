// One line that is written over, on a terminal; nothing in a pipe.

/** Shows what is being measured; an empty text takes the line away. */
export type Tell = (text: string) => void;

export function makeProgress(stream: NodeJS.WriteStream): Tell {
  return (text) => {
    if (stream.isTTY) stream.write(`\r\x1b[K${text}`);
  };
}
