// Text that others wrote, for terminals: annotations, rule comments, names of processes, messages of other programs.

/**
 * Control characters (C0, DEL, C1), characters that are not seen or turn the direction of what follows, and separators
 * of lines: with them a text clears the screen, writes over what stands there, or looks like another line.
 */
const NOT_SHOWN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** One line: each such character as in JSON, such as \u001b or \n. */
export function printable(text: string): string {
  return text.replaceAll(NOT_SHOWN, escapeCharacter);
}

/** The same for a text of lines: line ends stay. */
export function printableLines(text: string): string {
  return text.replaceAll(NOT_SHOWN, (found) => (found === '\n' ? found : escapeCharacter(found)));
}

/** JSON for a terminal. It is the same value: JSON.stringify leaves DEL, C1 and what is not seen as it is. */
export function printableJson(value: unknown, indent?: number): string {
  return printableLines(JSON.stringify(value, null, indent));
}

const SHORT: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function escapeCharacter(found: string): string {
  const units = Array.from({ length: found.length }, (_, index) => found.charCodeAt(index));
  return SHORT[found] ?? units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('');
}
