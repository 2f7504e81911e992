// What a pod may answer, over real connections.
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { askPod, isPodAddress } from '../../../webhook/collection/pod-request.ts';
import { reportText } from './made-reports.ts';

const PAGE = { host: '127.0.0.1', path: '/selfcheck', limit: 65_536 };

/** Asks a server that says this, and nothing more, to whoever connects. */
async function answerOf(t: Test, say: (socket: Socket) => void, stop = new AbortController()) {
  const asked: string[] = [];
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', (data) => {
      asked.push(data.toString());
      say(socket);
    });
  });
  t.teardown(() => server.close());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  return { ...(await askPod({ ...PAGE, port }, stop.signal)), asked };
}

const page = (status: string, body: string, headers = '') =>
  `HTTP/1.1 ${status}\r\nconnection: close\r\n${headers}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

t.test('a page is taken, whether the pod is guarded or not', async (t) => {
  for (const status of ['200 OK', '503 Service Unavailable']) {
    const { asked, ...answer } = await answerOf(t, (socket) => socket.end(page(status, reportText())));
    t.strictSame(answer, { result: 'answered', text: reportText() }, status);
    t.match(asked[0], /^GET \/selfcheck HTTP\/1\.1\r\n/);
  }
});

t.test('anything else is not', async (t) => {
  const elsewhere = 'location: http://127.0.0.1:1/\r\n';
  const table: [string, (socket: Socket) => void][] = [
    ['invalid', (socket) => socket.end(page('302 Found', reportText(), elsewhere))],
    ['invalid', (socket) => socket.end(page('404 Not Found', reportText()))],
    ['invalid', (socket) => socket.end(page('200 OK', `${reportText()}${' '.repeat(70_000)}`))],
    ['invalid', (socket) => socket.end('SSH-2.0-OpenSSH\r\n')],
    ['invalid', (socket) => socket.end(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(10_000)}\r\n\r\n`)],
    [
      'no-answer',
      (socket) => socket.end('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'),
    ],
    ['no-answer', (socket) => socket.destroy()],
    ['no-answer', (socket) => socket.end(`HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n{`)],
  ];
  for (const [expected, say] of table) {
    const { result } = await answerOf(t, say);
    t.equal(result, expected, say.toString());
  }
});

t.test('a body that never ends is given up as soon as it is too large', async (t) => {
  let closed = false;
  const { result } = await answerOf(t, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\n\r\n');
    const more = () => {
      while (!socket.destroyed && socket.write(' '.repeat(8192)));
    };
    socket.on('drain', more).on('close', () => {
      closed = true;
    });
    more();
  });
  t.equal(result, 'invalid');
  while (!closed) await new Promise(setImmediate);
});

t.test('who says nothing, or one byte after the other, is given up after two seconds', async (t) => {
  const slow = await answerOf(t, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\n\r\n');
    const timer = setInterval(() => socket.write(' '), 50);
    socket.on('close', () => clearInterval(timer));
  });
  t.equal(slow.result, 'no-answer');
  t.equal((await answerOf(t, () => {})).result, 'no-answer');
});

t.test('a stop ends a question at once', async (t) => {
  const stop = new AbortController();
  t.equal((await answerOf(t, () => stop.abort(), stop)).result, 'no-answer');
});

t.test('nobody listens there', async (t) => {
  const server = createServer();
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  t.strictSame(await askPod({ ...PAGE, port }, new AbortController().signal), { result: 'no-answer' });
});

t.test('only addresses that a pod can have are asked', async (t) => {
  for (const ip of ['10.1.2.3', '192.168.0.1', '100.64.0.1', '8.8.8.8', 'fd00::1', '2001:db8::1']) {
    t.equal(isPodAddress(ip), true, ip);
  }
  const none = ['127.0.0.1', '127.8.8.8', '0.0.0.0', '169.254.169.254', '224.0.0.1', '255.255.255.255', '::1', '::'];
  for (const ip of [...none, '::ffff:127.0.0.1', 'fe80::1', 'ff02::1', 'fd00::1%eth0', 'localhost', '', '10.1']) {
    t.equal(isPodAddress(ip), false, ip);
  }
});
