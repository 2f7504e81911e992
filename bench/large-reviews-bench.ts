// How long small reviews take while large ones come without end.
import { fileURLToPath } from 'node:url';
import { Program } from '../test/harness/netns/processes.ts';
import type { Tell } from '../test/harness/progress-line.ts';
import { startShippedWebhook } from '../test/harness/shipped-webhook.ts';
import { type Figure, makeFigure } from './figure.ts';
import { load } from './https-load.ts';
import { review } from './webhook-bench.ts';

const SENDER = fileURLToPath(new URL('inside/large-reviews.ts', import.meta.url));
const SECONDS = 10;
/** Pods that are created at once, and the labels of each: those that are read whole, and those that are refused. */
const AT_ONCE = '28';
const LABELS = { read: '48000', refused: '200000' };

export async function benchLargeReviews(tell: Tell): Promise<Figure[]> {
  const body = JSON.stringify(await review());
  const figures: Figure[] = [];
  for (const [kind, labels] of Object.entries(LABELS)) {
    const webhook = await startShippedWebhook();
    const port = String(webhook.port);
    const small = () =>
      load({ hosts: ['127.0.0.1'], port: webhook.port, path: '/mutate' }, body, { connections: 1, seconds: SECONDS });
    tell(`webhook: small reviews alone, then beside large ones that are ${kind}`);
    const alone = await small();
    const sender = new Program(process.execPath, [SENDER, port, AT_ONCE, labels]);
    await sender.waitForOutput(/answered/);
    const { p99 } = await small();
    await sender.stop('SIGKILL');
    await webhook.remove();
    const name = `webhook, POST /mutate, p99 beside ${AT_ONCE} large reviews that are ${kind}`;
    figures.push(makeFigure({ name, unit: 'ms', value: p99, reference: alone.p99, goal: 'value <= 500' }));
  }
  return figures;
}
