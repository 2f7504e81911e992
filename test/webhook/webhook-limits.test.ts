// Anybody in the network can reach both ports of the webhook. Whatever comes there, it answers the next admission and the
// next probe, and stays within the memory that its container has.
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import t, { type Test } from 'tap';
import { type ShippedWebhook, startShippedWebhook } from '../harness/shipped-webhook.ts';
import { until } from '../harness/wait-until.ts';
import { creationOf } from './admission/injection-settings.ts';
import { HOSTILE_BODIES } from './hostile-bodies.ts';
import { reviewOf } from './test-server.ts';
import { statusOf } from './webhook-process.ts';

const POD = { metadata: { name: 'store-0' }, spec: { containers: [{ name: 'app' }] } };
const ADMISSION = JSON.stringify(reviewOf(creationOf(POD)));
const MIB = 1024 ** 2;
const HOST = '127.0.0.1';
/** Admissions and probes after an attack: what it has sent is dealt with meanwhile. */
const ROUNDS = 20;

/** Status of the answer to a body, and the body; 0 where the connection ended before. */
function post({ port, ca }: ShippedWebhook, body: string, agent: Agent | false = false) {
  return new Promise<{ status: number; text: string }>((resolve) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const target = { host: HOST, port, ca, servername: 'localhost', method: 'POST', path: '/mutate', headers, agent };
    const call = request(target, async (response) => {
      const chunks = await response.toArray().catch(() => []);
      resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() });
    });
    call.on('error', () => resolve({ status: 0, text: '' }));
    call.end(body);
  });
}

/** A connection over TLS that holds what it gets. */
async function open({ port, ca }: ShippedWebhook): Promise<Socket> {
  const socket = connectTls({ host: HOST, port, ca, servername: 'localhost' });
  socket.on('error', () => undefined);
  await Promise.race([once(socket, 'secureConnect'), once(socket, 'close')]);
  return socket.pause();
}

const headOf = (length: number) =>
  `POST /mutate HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`;

/** Writes, and waits until it is sent or the server has had enough. */
function send(socket: Socket, text: string): Promise<void> {
  return new Promise((resolve) => {
    socket.once('close', () => resolve());
    if (socket.destroyed) return resolve();
    socket.write(text, () => resolve());
  });
}

/** A webhook that is served to the attack, then asked whether it still works. */
function limitTest(
  name: string,
  attack: (t: Test, webhook: ShippedWebhook, hold: (socket: Socket) => Socket) => Promise<void>,
) {
  t.test(name, async (t) => {
    const webhook = await startShippedWebhook();
    const held: Socket[] = [];
    t.teardown(async () => {
      for (const socket of held) socket.destroy();
      await webhook.remove();
    });
    await attack(t, webhook, (socket) => {
      held.push(socket);
      return socket;
    });
    for (let round = 0; round < ROUNDS; round++) {
      const patched = { status: 200, text: /"patchType":"JSONPatch"/ };
      t.match(await post(webhook, ADMISSION), patched, 'an admission is answered');
      t.equal(await statusOf(webhook.metricsPort, '/readyz'), 200, 'a probe is answered');
    }
    const { peak, limit } = await webhook.memory();
    t.ok(peak < limit, `${Math.round(peak)} MiB of ${limit}`);
  });
}

const filled = (size: number, element: string) =>
  `[${element}${`,${element}`.repeat(size / (element.length + 1) - 1)}]`;
const inPod = (json: string) => JSON.stringify(reviewOf(creationOf({ ...POD, x: '@' }))).replace('"@"', json);

limitTest('small values without number in one body are refused, and counted as failed open', async (t, webhook) => {
  for (const size of [7.9 * MIB, 3.9 * MIB, 2 * MIB]) {
    for (const element of ['[]', '{}', '{"":0}']) {
      t.match(await post(webhook, inPod(filled(size, element))), { status: /413|0/ }, `${size} bytes of ${element}`);
    }
  }
  const metrics = await (await fetch(`http://${HOST}:${webhook.metricsPort}/metrics`)).text();
  t.match(metrics, /admissions_total\{result="error",reason="REVIEW_TOO_COMPLEX"\} 6/);
  t.match(metrics, /admissions_total\{result="error",reason="REVIEW_TOO_LARGE"\} 3/);
});

limitTest('bodies that are at the limits are answered', async (t, webhook) => {
  const text = inPod(JSON.stringify('x'.repeat(4 * MIB - 1000)));
  const wide = inPod(JSON.stringify('\u2028'.repeat(1.3 * MIB)));
  const values = inPod(`[${Array.from({ length: 49_000 / 2 }, (_, index) => `{"k${index}":0}`)}]`);
  const statuses = await Promise.all([text, wide, values, text].map((body) => post(webhook, body)));
  t.strictSame(
    statuses.map(({ status }) => status),
    [200, 200, 200, 200],
  );
});

limitTest('large reviews are answered, and at least as many small ones meanwhile', async (t, webhook) => {
  const labels = Object.fromEntries(Array.from({ length: 40_000 }, (_, index) => [`label-${index}`, '']));
  const large = JSON.stringify(reviewOf(creationOf({ ...POD, metadata: { name: 'store-0', labels } })));
  let left = 20;
  const large20 = Array.from({ length: left }, async () => {
    const { status } = await post(webhook, large);
    left -= 1;
    return status;
  });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.teardown(() => agent.destroy());
  let answered = 0;
  while (left > 0) answered += (await post(webhook, ADMISSION, agent)).status === 200 ? 1 : 0;
  t.strictSame(await Promise.all(large20), Array(20).fill(200));
  t.ok(answered >= 20, `${answered} small ones are answered meanwhile`);
});

limitTest('bodies that never end', async (_, webhook, hold) => {
  for (let index = 0; index < 40; index++) {
    const socket = hold(await open(webhook));
    await send(socket, headOf(4 * MIB) + 'x'.repeat(4 * MIB - 1));
  }
});

limitTest('bodies that never end and come in small pieces', async (_, webhook, hold) => {
  for (let index = 0; index < 20; index++) {
    const socket = hold(await open(webhook));
    await send(socket, `${headOf(0).replace('Content-Length: 0', 'Transfer-Encoding: chunked')}`);
    await send(socket, '1\r\nx\r\n'.repeat(100_000));
  }
});

limitTest('4,000 idle connections, 1,000 of them with TLS', async (t, webhook, hold) => {
  for (let index = 0; index < 3000; index++) hold(connect({ host: HOST, port: webhook.port }).on('error', () => {}));
  for (let index = 0; index < 1000; index += 50) {
    for (const socket of await Promise.all(Array.from({ length: 50 }, () => open(webhook)))) hold(socket);
  }
  const files = await readdir(`/proc/${webhook.program.child.pid}/fd`);
  t.ok(files.length < 600, `${files.length} files are open`);
});

limitTest('pipelined requests whose answers nobody reads', async (_, webhook, hold) => {
  for (let index = 0; index < 20; index++) {
    const socket = hold(await open(webhook));
    const get = 'GET /x HTTP/1.1\r\nHost: a\r\n\r\n';
    await send(socket, index % 2 ? get.repeat(50_000) : (headOf(ADMISSION.length) + ADMISSION).repeat(2000));
  }
});

limitTest('the plain port: pipelined, unread and idle connections', async (_, { metricsPort: port }, hold) => {
  for (const text of ['', 'GET /metrics HTTP/1.1\r\n', 'GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n']) {
    for (let index = 0; index < 200; index++) {
      const socket = hold(
        connect({ host: HOST, port })
          .on('error', () => {})
          .pause(),
      );
      await send(socket, text.endsWith('\r\n\r\n') ? text.repeat(60_000) : text);
    }
  }
});

limitTest('every hostile body, many at a time', async (t, webhook) => {
  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  t.teardown(() => agent.destroy());
  const answers = await Promise.all(HOSTILE_BODIES.map(([, body]) => post(webhook, body, agent)));
  const statuses = new Set(answers.map(({ status }) => status));
  t.strictSame(
    [...statuses].filter((status) => ![200, 400, 413].includes(status)),
    [],
  );
  await until('the log is written', async () => (await webhook.log()).split('\n').length > HOSTILE_BODIES.length / 2);
  t.notMatch(await webhook.log(), /"level":50/);
});
