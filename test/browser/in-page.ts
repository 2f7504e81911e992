// What the tests ask inside the page, as text: the project's types have no DOM.

/** Whether a script that gets into the page runs. */
export const RUNS_SCRIPTS = `(() => {
  const script = document.createElement('script');
  script.textContent = 'document.title = "ran"';
  document.body.append(script);
  return document.title === 'ran';
})()`;

/** Whether the page is wider than the screen. */
export const TOO_WIDE = 'document.documentElement.scrollWidth > document.documentElement.clientWidth';

/** The element that has the focus. */
export interface Focused {
  name: string;
  /** Whether it is on the page and has an outline. */
  seen: boolean;
  /** Its place in the document. */
  index: number;
}

/** null where nothing of the page has the focus. */
export const FOCUSED = `(() => {
  const at = document.activeElement;
  if (at === null || at === document.body) return null;
  const { outlineStyle, outlineWidth } = getComputedStyle(at);
  const { width, height, left } = at.getBoundingClientRect();
  return {
    name: at.getAttribute('aria-label') ?? at.textContent ?? '',
    seen: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2 && width > 0 && height > 0 && left >= 0,
    index: [...document.querySelectorAll('*')].indexOf(at),
  };
})()`;

/** Captions of tables without one, or with a heading that does not say of what it is. */
export const UNLABELLED_TABLES = `[...document.querySelectorAll('table')].filter((one) =>
  !one.querySelector('caption')?.textContent ||
  one.querySelector('th:not([scope])') !== null ||
  [...one.querySelectorAll('tbody tr')].some((row) => row.querySelector('th[scope=row]') === null)).length`;
