// The shipped webhook under malformed bodies, slow clients, and clients that vanish. Needs no cluster.

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import { connect, type TLSSocket } from 'node:tls';
import t from 'tap';
import { startShippedWebhook } from '../harness/shipped-webhook.ts';
import { creationOf } from '../webhook/admission/injection-settings.ts';
import { pick, type Random, randomPod, seeded } from '../webhook/admission/random-pod.ts';
import { reviewOf } from '../webhook/test-server.ts';

const BODIES = 100_000;
const CONNECTIONS = 16;
/** After so many bodies the size of the heap is steady. */
const WARM = 20_000;
const GROWTH_MB = 40;
const SLOW_CLIENTS = 100;
const VANISHING_CLIENTS = 500;
const OVER_LIMIT = 8 * 1024 * 1024 + 1;
const SEED = Number(
  process.env['SEED'] === 'random' ? Math.floor(Math.random() * 2 ** 31) : (process.env['SEED'] ?? 1),
);

const JUNK = [
  'null',
  '{',
  '}',
  '[',
  ']',
  '"',
  ',',
  ':',
  '1e999',
  '-',
  '\\u0000',
  '\u0000',
  '\ufeff',
  '"__proto__":',
  'true',
];

/** Makes a valid review invalid: a value replaced, text inserted, removed or cut off, or bytes changed. */
function fuzzedBody(random: Random): string {
  const text = JSON.stringify(reviewOf(creationOf(randomPod(random))));
  const at = Math.floor(random() * text.length);
  const length = Math.floor(random() * 40);
  switch (Math.floor(random() * 7)) {
    case 0:
      return text;
    case 1:
      return text.slice(0, at);
    case 2:
      return text.slice(0, at) + text.slice(at + length);
    case 3:
      return text.slice(0, at) + pick(random, JUNK) + text.slice(at);
    case 4:
      return (
        text.slice(0, at) + text.slice(at, at + length).repeat(1 + Math.floor(random() * 5)) + text.slice(at + length)
      );
    case 5:
      return text.replaceAll(/"[a-zA-Z]+"(?=:)/g, (key) => (random() < 0.05 ? '"x"' : key));
    default:
      return text.replaceAll(/(?<=:)("[^"]*"|true|false|\d+)/g, (value) =>
        random() < 0.1 ? pick(random, ['null', '[]', '{}', '7', '"y"']) : value,
      );
  }
}

async function rssMb(pid: number): Promise<number> {
  return Number((await readFile(`/proc/${pid}/status`, 'utf8')).match(/VmRSS:\s+(\d+)/)?.[1]) / 1024;
}

t.test(`${BODIES} malformed bodies: each is answered, and memory does not grow`, async (t) => {
  t.comment(`SEED=${SEED}`);
  const random = seeded(SEED);
  const webhook = await startShippedWebhook('--log-level=info');
  const { program, port, ca } = webhook;
  t.teardown(webhook.remove);
  const agent = new Agent({ ca, keepAlive: true, maxSockets: CONNECTIONS, servername: 'localhost' });
  t.teardown(() => agent.destroy());

  const post = (body: string): Promise<number> =>
    new Promise((resolve, reject) => {
      const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
      const call = request(
        { agent, host: '127.0.0.1', port, method: 'POST', path: '/mutate', headers, timeout: 20_000 },
        (answer) => {
          answer.resume();
          answer.on('end', () => resolve(answer.statusCode ?? 0));
        },
      );
      call.on('timeout', () => call.destroy(new Error('no answer within 20 s')));
      call.on('error', reject);
      call.end(body);
    });

  const slow = await Promise.all(Array.from({ length: SLOW_CLIENTS }, (_, index) => slowClient(port, ca, index)));
  const statuses = new Map<number, number>();
  let sent = 0;
  let warm = 0;
  const worker = async () => {
    while (sent < BODIES) {
      sent += 1;
      if (sent === WARM) warm = await rssMb(program.child.pid ?? 0);
      if (sent % (BODIES / VANISHING_CLIENTS) === 0) await vanish(port, ca, random);
      const status = await post(fuzzedBody(random));
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, worker));
  const end = await rssMb(program.child.pid ?? 0);

  t.comment(
    `answers by status: ${JSON.stringify(Object.fromEntries(statuses))}; RSS ${warm.toFixed(0)} MB after ${WARM}, ${end.toFixed(0)} MB at the end`,
  );
  t.strictSame(
    [...statuses.keys()].filter((status) => status !== 200 && status !== 400),
    [],
  );
  t.ok((statuses.get(200) ?? 0) > 1000 && (statuses.get(400) ?? 0) > 1000, 'both kinds of answer were had');
  t.ok(end - warm < GROWTH_MB, `grew by ${(end - warm).toFixed(1)} MB`);
  const { peak, limit } = await webhook.memory();
  t.ok(peak < limit, `${Math.round(peak)} MiB of ${limit}`);
  t.equal(await post('x'.repeat(OVER_LIMIT)).catch(() => 413), 413, 'over the limit');
  t.equal(await post(JSON.stringify(reviewOf(creationOf(randomPod(random))))), 200, 'and it still answers');
  for (const socket of slow) socket.destroy();
  t.equal(program.child.exitCode, null);
});

/** A client that sends a part of its head or of its body, and then nothing. */
async function slowClient(port: number, ca: string, index: number): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', port, ca, servername: 'localhost' });
  socket.on('error', () => {});
  await once(socket, 'secureConnect');
  const head = 'POST /mutate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n';
  socket.write(index % 2 === 0 ? head : `${head}\r\n{"apiVersion":`);
  return socket;
}

/** A client that closes its connection in the middle of its request. */
async function vanish(port: number, ca: string, random: Random): Promise<void> {
  const socket = await slowClient(port, ca, Math.floor(random() * 2));
  socket.destroy();
}
