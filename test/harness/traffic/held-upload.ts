// An upload that is in flight until its standard input ends: `held-upload.ts HOST`. It prints `in flight` when the
// first megabyte has left, and at the end what became of it.
import { once } from 'node:events';
import { request } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';

const CHUNK = Buffer.alloc(256 * 1024, 'x');
const PAUSE_MS = 10;
const MB = 1024 * 1024;
const LIMIT_MS = 120_000;

let held = true;
process.stdin.on('end', () => {
  held = false;
});
process.stdin.resume();

const signal = AbortSignal.timeout(LIMIT_MS);
const put = request({ host: process.argv[2], port: 9000, method: 'PUT', path: '/object', agent: false, signal });
let failure: string | undefined;
put.on('error', (error: NodeJS.ErrnoException) => {
  failure = error.code ?? error.message;
});
const answered = once(put, 'response').catch(() => []);

let sent = 0;
while (held && failure === undefined) {
  if (!put.write(CHUNK)) await Promise.race([once(put, 'drain').catch(() => undefined), once(put, 'close')]);
  sent += CHUNK.length;
  if (sent === MB) process.stdout.write('in flight\n');
  await wait(PAUSE_MS);
}
put.end();
const [response] = await answered;
const body = response ? Buffer.concat(await response.toArray()).toString() : '';
process.stdout.write(`${JSON.stringify({ sent, received: body && JSON.parse(body).received, error: failure })}\n`);
process.exit();
