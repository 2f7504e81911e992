// iptables-save text to lines and words. It quotes what is not a plain word and escapes only quotes and backslashes:
// a comment may hold line ends (xtables_save_string in libxtables/xtables.c).

export interface Token {
  text: string;
  quoted: boolean;
}

const QUOTED = String.raw`(?<=^|\s)"(?:\\[\s\S]|[^"\\])*"(?=\s|$)`;
const LINE = new RegExp(`(?:${QUOTED}|[^\n])+`, 'g');
const TOKEN = new RegExp(`${QUOTED}|\\S+`, 'g');

/** The lines of a save text, each with the line ends that its quoted values hold. */
export function splitLines(text: string): string[] {
  return (text.match(LINE) ?? []).map((line) => line.trim()).filter((line) => line !== '');
}

/** The words of a line; a quoted one without its quotes and escapes. */
export function tokenize(line: string): Token[] {
  return (line.match(TOKEN) ?? []).map((text) =>
    text.length > 1 && text.startsWith('"') && text.endsWith('"')
      ? { text: text.slice(1, -1).replace(/\\([\s\S])/g, '$1'), quoted: true }
      : { text, quoted: false },
  );
}
