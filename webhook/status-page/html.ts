// HTML as text. Whatever is put into a template is escaped, unless it is HTML itself: what pods, namespaces and checkers say is
// written by others.
import { printable } from '../../lib/printable.ts';

/** A piece of HTML. Only `html` makes one. */
export class Html {
  readonly text: string;
  private constructor(text: string) {
    this.text = text;
  }
  static from(strings: readonly string[], values: Content[]): Html {
    return new Html(strings.map((string, index) => (index === 0 ? '' : textOf(values[index - 1])) + string).join(''));
  }
}

/** What a template takes: HTML as it is, text and numbers escaped, lists one after the other, nothing for undefined. */
export type Content = Html | string | number | undefined | Content[];

/** A template's literal parts are HTML, its values are content. */
export function html(strings: TemplateStringsArray, ...values: Content[]): Html {
  return Html.from(strings, values);
}

/** Text of ours that is HTML already, such as a style sheet. Never for what others write. */
export function raw(text: string): Html {
  return Html.from([text], []);
}

function textOf(value: Content): string {
  if (value === undefined) return '';
  if (value instanceof Html) return value.text;
  if (Array.isArray(value)) return value.map(textOf).join('');
  return escaped(String(value));
}

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/** For text and for attributes in quotes. What is not seen, or turns the direction of what follows, is written out. */
function escaped(text: string): string {
  return printable(text).replace(/[&<>"']/g, (found) => ENTITIES[found] ?? found);
}
