// The status page in a real Chromium. Its policy is in force, but for the accessibility checks, which are a script themselves.
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { AxeBuilder } from '@axe-core/playwright';
import type { Browser, BrowserContextOptions } from 'playwright-core';
import t from 'tap';
import {
  addPods,
  emptyStore,
  madeCollection,
  refusedOf,
  selfcheckOf,
  usualStore,
} from '../webhook/status-page/made-status.ts';
import { hostAndPort } from '../webhook/test-server.ts';
import { FOCUSED, type Focused, RUNS_SCRIPTS, UNLABELLED_TABLES } from './in-page.ts';
import { isTooWide, openPage, serveStatus, startBrowser } from './status-site.ts';

const SCREENSHOTS = fileURLToPath(new URL('../../.run/screenshots/', import.meta.url));
const PLACES = [
  '/',
  '/?namespace=storage',
  '/?reason=webhook-missed',
  '/?namespace=storage&reason=guarded',
  '/?page=none',
];
const SCHEMES = ['light', 'dark'] as const;
let browser: Browser;

t.before(async () => {
  browser = await startBrowser();
  await mkdir(SCREENSHOTS, { recursive: true });
});
t.teardown(() => browser.close());

t.test('axe finds nothing, in light and in dark, on any page', async (t) => {
  const site = await serveStatus(t, { selfcheck: async () => selfcheckOf([{}, { ok: false }]) });
  const empty = await serveStatus(t, { coverage: () => undefined, collection: undefined });
  for (const colorScheme of SCHEMES) {
    for (const address of [...PLACES.map((place) => site + place), empty]) {
      const { page } = await openPage(t, browser, address, { colorScheme, bypassCSP: true });
      const { violations, passes } = await new AxeBuilder({ page }).analyze();
      t.strictSame(
        violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`),
        [],
        `${colorScheme} ${address}`,
      );
      t.ok(
        passes.some(({ id }) => id === 'color-contrast'),
        'contrast was looked at',
      );
    }
  }
});

t.test('the policy is in force, and nothing on the page offends against it', async (t) => {
  const site = await serveStatus(t);
  for (const place of PLACES) {
    const { page, complaints } = await openPage(t, browser, site + place);
    // What the browser asks for by itself is not the page's.
    t.strictSame(
      complaints.filter((one) => !/status of 404/.test(one)),
      [],
      place,
    );
    t.equal(await page.locator('script').count(), 0);
    t.match(
      await page.evaluate('getComputedStyle(document.querySelector("main")).maxWidth'),
      /px$/,
      'the style counts',
    );
    const ran = await page.evaluate(RUNS_SCRIPTS);
    t.equal(ran, false, 'a script that gets into the page does not run');
  }
});

t.test('all of it is there without scripts', async (t) => {
  const site = await serveStatus(t);
  const { page } = await openPage(t, browser, site, { javaScriptEnabled: false });
  t.equal(await page.locator('h1').innerText(), '4 pods are not guarded and need attention');
  await page.getByRole('link', { name: 'storage' }).first().click();
  t.equal(await page.locator('h1').innerText(), 'Pods of namespace storage');
  await page.getByRole('link', { name: 'install-failed' }).click();
  t.equal(await page.getByRole('rowheader', { name: /^object-store-/ }).count(), 1);
  await page.getByRole('link', { name: 'Back to the whole page' }).click();
  t.equal(new URL(page.url()).search, '');
});

const HOSTILE = `<script>alert(1)</script><img src=x onerror=alert(2)>"'\u202egnp.exe\u0000`;

t.test('what others write is text, whatever it is', async (t) => {
  const store = emptyStore();
  addPods(store, 'storage', { 'webhook-missed': 2 }, HOSTILE);
  addPods(store, 'x'.repeat(253), { 'webhook-missed': 1 }, 'y'.repeat(251));
  const refused = [refusedOf(HOSTILE, HOSTILE.repeat(5))];
  const site = await serveStatus(t, {
    coverage: () => ({ store, synced: true, refused: () => refused }),
    collection: madeCollection(HOSTILE, HOSTILE),
    selfcheck: async () => selfcheckOf([{ detail: HOSTILE }]),
  });
  for (const place of [
    '/',
    '/?namespace=storage',
    '/?reason=webhook-missed',
    `/?namespace=${encodeURIComponent(HOSTILE)}`,
  ]) {
    for (const width of [1200, 360]) {
      const { page, complaints } = await openPage(t, browser, site + place, { viewport: { width, height: 800 } });
      t.equal(await page.locator('script, img').count(), 0, place);
      t.strictSame(
        complaints.filter((one) => !/status of 404/.test(one)),
        [],
        place,
      );
      t.equal(await isTooWide(page), false, `${place} at ${width}`);
      t.notMatch(await page.content(), '\u202e', place);
    }
  }
  const { page } = await openPage(t, browser, `${site}/?namespace=storage`);
  t.match(
    await page.getByRole('rowheader', { name: 'alert(1)' }).first().innerText(),
    /^<script>alert\(1\).*\\u202egnp/,
  );
});

t.test('the keyboard reaches everything, in order, and shows where it is', async (t) => {
  const site = await serveStatus(t);
  const { page } = await openPage(t, browser, site);
  const focused = async () => {
    await page.keyboard.press('Tab');
    return page.evaluate<Focused | null>(FOCUSED);
  };
  const first = await focused();
  t.match(first, { name: 'Skip to the content', seen: true });
  await page.keyboard.press('Enter');
  const afterSkip = await focused();
  t.match(afterSkip, { name: 'Pods of opted-in namespaces by the reason that coverage gives', seen: true });
  await page.goto(site);
  const order: Focused[] = [];
  for (let at = await focused(); at !== null && order.length < 200; at = await focused()) order.push(at);
  t.ok(
    order.every(({ seen }) => seen),
    'each is seen',
  );
  t.strictSame(
    order.map(({ index }) => index),
    order.map(({ index }) => index).toSorted((a, b) => a - b),
  );
  const links = await page.locator('a, summary, [tabindex="0"]:not(details:not([open]) *)').count();
  t.equal(order.length, links, 'nothing is left out');
});

t.test('a screen reader finds landmarks, one first heading, and tables with captions and headings', async (t) => {
  const site = await serveStatus(t);
  for (const place of PLACES) {
    const { page } = await openPage(t, browser, site + place);
    for (const landmark of ['banner', 'main', 'contentinfo'] as const)
      t.equal(await page.getByRole(landmark).count(), 1, `${landmark} of ${place}`);
    t.equal(await page.locator('h1').count(), 1);
    const bare = await page.evaluate(UNLABELLED_TABLES);
    t.equal(bare, 0, `tables of ${place}`);
  }
});

t.test('a narrow screen, and a page twice as large, need no scrolling of the page sideways', async (t) => {
  const site = await serveStatus(t);
  const sizes: BrowserContextOptions[] = [
    { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true },
    { viewport: { width: 320, height: 740 } },
    // 1200 points at 200 %.
    { viewport: { width: 600, height: 450 }, deviceScaleFactor: 2 },
  ];
  for (const size of sizes) {
    for (const place of PLACES) {
      const { page } = await openPage(t, browser, site + place, size);
      t.equal(await isTooWide(page), false, `${place} at ${size.viewport?.width}`);
    }
  }
});

t.test('another site can neither frame the page nor read names by a name of its own', async (t) => {
  const site = await serveStatus(t);
  const frame = createServer((_, response) => {
    response.setHeader('content-type', 'text/html');
    response.end(`<iframe src="${site}/"></iframe>`);
  });
  t.teardown(() => frame.close());
  await once(frame.listen(0, '127.0.0.1'), 'listening');
  const framing = await openPage(t, browser, `http://${hostAndPort(frame.address())}/`);
  const [, inner] = framing.page.frames();
  t.notMatch((await inner?.content()) ?? '', 'not guarded', 'the frame stays empty');
  t.match(framing.complaints.join('\n'), /frame-ancestors|X-Frame-Options/);

  const { port } = new URL(site);
  const own = await openPage(t, browser, `http://127.0.0.1:${port}/?namespace=storage`);
  t.match(await own.page.content(), 'object-store-6d4cf56db6-1');
  const rebound = await openPage(t, browser, `http://rebound.example:${port}/?namespace=storage`);
  t.equal(await rebound.page.locator('h1').innerText(), 'Pods of namespace storage');
  t.notMatch(await rebound.page.content(), 'object-store');
});

t.test('screenshots', async (t) => {
  const store = usualStore();
  const site = await serveStatus(t, { coverage: () => ({ store, synced: true, refused: () => [] }) });
  const shots: [string, string, BrowserContextOptions][] = [
    ['light', '/', {}],
    ['dark', '/', { colorScheme: 'dark' }],
    ['drill-down', '/?namespace=storage&reason=webhook-missed', {}],
    ['narrow', '/', { viewport: { width: 360, height: 740 } }],
    ['failing', '/', { viewport: { width: 1200, height: 500 } }],
    // For README.md (make screenshots).
    ['readme', '/', { viewport: { width: 1120, height: 900 } }],
  ];
  const failing = await serveStatus(t, {
    selfcheck: async () => selfcheckOf([{}, { ok: false, detail: 'the Service refuses connections: ECONNREFUSED' }]),
  });
  for (const [name, place, options] of shots) {
    const { page } = await openPage(t, browser, (name === 'failing' ? failing : site) + place, options);
    const path = `${SCREENSHOTS}status-${name}.png`;
    const image = await page.screenshot({ path, fullPage: !['failing', 'readme'].includes(name) });
    t.ok(image.length > 5000, path);
  }
});
