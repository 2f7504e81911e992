// Parts that the page's sections share: tables, links, states and pages of a long list. Pure.
import { type Content, type Html, html } from './html.ts';
import { amount, isoTime, type StatusLevel, timeText } from './status-facts.ts';

export interface Column {
  title: string;
  /** Class of its cells: number, text, wide, time. */
  kind?: 'number' | 'text' | 'wide' | 'time';
}

/**
 * A table with a caption. The first cell of a row is its heading. Where it is wider than the screen, it scrolls by itself, also
 * with the keyboard.
 */
export function table(caption: string, columns: Column[], rows: Content[][]): Html {
  const heads = columns.map(({ title, kind }) => html`<th scope="col" class="${kind ?? ''}">${title}</th>`);
  const body = rows.map(([name, ...cells]) => {
    const rest = cells.map((cell, index) => html`<td class="${columns[index + 1]?.kind ?? ''}">${cell}</td>`);
    return html`<tr><th scope="row" class="name">${name}</th>${rest}</tr>\n`;
  });
  return html`<div class="scroll" role="region" aria-label="${caption}" tabindex="0"><table><caption>${caption}</caption>
<thead><tr>${heads}</tr></thead>
<tbody>
${body}</tbody></table></div>`;
}

/** A part of the page with its heading. @param id unique on the page */
export function section(id: string, title: string, content: Content): Html {
  return html`<section aria-labelledby="${id}"><h2 id="${id}">${title}</h2>
${content}
</section>
`;
}

/** Where a link goes to on this page. Only what differs from the first page is named. */
export interface Place {
  namespace?: string;
  reason?: string;
  page?: number;
}

/** The address of a place, from the root of the port. */
export function addressOf({ namespace = '', reason = '', page = 1 }: Place): string {
  const query = new URLSearchParams();
  if (namespace !== '') query.set('namespace', namespace);
  if (reason !== '') query.set('reason', reason);
  if (page > 1) query.set('page', String(page));
  return query.size === 0 ? './' : `./?${query}`;
}

/** Part of a list. */
export interface Paged<T> {
  items: T[];
  page: number;
  pages: number;
  total: number;
}

/** @param page from 1; one beyond the last is the last */
export function pageOf<T>(all: T[], page: number, size: number): Paged<T> {
  const pages = Math.max(1, Math.ceil(all.length / size));
  const at = Math.min(Math.max(1, page), pages);
  return { items: all.slice((at - 1) * size, at * size), page: at, pages, total: all.length };
}

/** Links to the neighbours; nothing where there is one page only. */
export function pager({ page, pages, total }: Paged<unknown>, what: string, place: Place): Html | undefined {
  if (pages === 1) return undefined;
  const link = (to: number, text: string) =>
    to < 1 || to > pages
      ? undefined
      : html` <a href="${addressOf({ ...place, page: to })}">${text} page of ${what}</a>`;
  return html`<nav class="pager" aria-label="Pages of ${what}">Page ${page} of ${pages}, ${amount(total)} ${what} in all.${link(page - 1, 'Previous')}${link(page + 1, 'Next')}</nav>`;
}

/** A word with the colour of its level; the word alone says it. */
export function state(level: StatusLevel, word: string): Html {
  return html`<span class="state ${level}">${word}</span>`;
}

/** A time, for people and for programs. @param time milliseconds since 1970 */
export function moment(time: number): Html {
  return html`<time datetime="${isoTime(time)}">${timeText(time)}</time>`;
}
