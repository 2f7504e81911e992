// The status page of a made-up installation, served by the webhook's own server, and a real browser to look at it.
import { once } from 'node:events';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import type { Test } from 'tap';
import { buildHealthServer } from '../../webhook/health-server.ts';
import { type StatusPageOptions, statusPage } from '../../webhook/status-page/status-page.ts';
import { createMetrics } from '../../webhook/webhook-metrics.ts';
import { CERTIFICATES, madeCollection, selfcheckOf, TIME, usualStore } from '../webhook/status-page/made-status.ts';
import { hostAndPort } from '../webhook/test-server.ts';
import { TOO_WIDE } from './in-page.ts';

/** Debian's (tools/install-debian.sh browser). */
const CHROMIUM = '/usr/bin/chromium';
/** As root Chromium has no sandbox. The second lets a name of another site lead to this machine. */
const ARGUMENTS = ['--no-sandbox', '--host-resolver-rules=MAP *.example 127.0.0.1', '--force-color-profile=srgb'];

/** Serves the page until the test ends. @returns its address, with no slash at the end */
export async function serveStatus(t: Test, options: Partial<StatusPageOptions> = {}): Promise<string> {
  const store = usualStore();
  const page = statusPage({
    version: '0.1.0',
    coverage: () => ({ store, synced: true, refused: () => [] }),
    collection: madeCollection(),
    selfcheck: async () => selfcheckOf(),
    certificates: () => CERTIFICATES,
    time: () => TIME,
    ...options,
  });
  const { server, close } = buildHealthServer({
    registry: createMetrics('1.0.0').registry,
    notReady: () => [],
    pages: { '/': page },
  });
  t.teardown(close);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return `http://${hostAndPort(server.address())}`;
}

export function startBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: CHROMIUM, args: ARGUMENTS });
}

/** What went wrong on a page: violations of its policy, failed requests, errors of scripts. */
export interface OpenedPage {
  page: Page;
  complaints: string[];
}

/** Opens an address in a browser that remembers nothing of others. It is closed when the test ends. */
export async function openPage(
  t: Test,
  browser: Browser,
  address: string,
  options: BrowserContextOptions = {},
): Promise<OpenedPage> {
  const context = await browser.newContext({ viewport: { width: 1200, height: 900 }, ...options });
  t.teardown(() => context.close());
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('console', (message) => complaints.push(`${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('requestfailed', (request) => complaints.push(`failed: ${request.url()}`));
  page.on('dialog', (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  await page.goto(address);
  return { page, complaints };
}

/** Whether anything of the page can only be seen by scrolling the whole page sideways. */
export function isTooWide(page: Page): Promise<boolean> {
  return page.evaluate(TOO_WIDE);
}
