import { benchWebhook } from './webhook-bench.ts';
import { renderFigures } from './figure.ts';
import { mkdtemp } from 'node:fs/promises';
console.log(renderFigures(await benchWebhook(() => {}, await mkdtemp('/tmp/h-net/bench-'))));
process.exit();
