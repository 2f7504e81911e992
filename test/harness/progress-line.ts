// A line of progress that each update overwrites, on a terminal only.

/** Shows what is under way; an empty text removes the line. */
export type Tell = (text: string) => void;

export function makeProgress(stream: NodeJS.WriteStream): Tell {
  return (text) => {
    if (stream.isTTY) stream.write(`\r\x1b[K${text}`);
  };
}
