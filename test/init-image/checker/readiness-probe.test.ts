// What may answer in the checker's place: any program of the pod.
import { type AddressInfo, createServer, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { askNotReady } from '../../../init-image/checker/readiness-probe.ts';

async function answering(t: Test, answer: (socket: Socket) => void): Promise<number> {
  const sockets: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket.on('error', () => undefined).resume());
    answer(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}

const HEAD = 'HTTP/1.1 503 Service Unavailable\r\nserver: x\r\n\r\n';
const LONG = 30_000;

t.test('an answer without end is read in part', async (t) => {
  let sent = 0;
  const port = await answering(t, (socket) => {
    const write = () => {
      sent += 1;
      if (!socket.destroyed) socket.write('x'.repeat(1000), () => setImmediate(write));
    };
    socket.write(HEAD, write);
  });
  const reason = await askNotReady(port, LONG);
  t.match(reason, /^x{300}$/);
  t.ok(sent < 10_000, `${sent} kB`);
});

t.test('an answer that never ends is given up when the time is over', async (t) => {
  const port = await answering(t, (socket) => {
    const drip = setInterval(() => socket.write('.'), 10);
    socket.on('close', () => clearInterval(drip));
  });
  t.match(await askNotReady(port, 300), /^\.+$/);
  const silent = await answering(t, () => undefined);
  t.equal(await askNotReady(silent, 300), 'it gave no answer');
});

t.test('only the status 200 is ready', async (t) => {
  for (const [answer, reason] of [
    ['HTTP/1.1 200 OK\r\n\r\nok\n', undefined],
    ['HTTP/1.1 2000 OK\r\n\r\n', 'HTTP/1.1 2000 OK'],
    ['HTTP/1.1 503 No\r\n\r\nHTTP/1.1 200 OK\n', 'HTTP/1.1 200 OK'],
    ['x\r\nHTTP/1.1 200 OK\r\n\r\n', 'x'],
    [`${HEAD}first\nsecond\n`, 'first'],
    ['', 'it gave no answer'],
  ] as const) {
    const port = await answering(t, (socket) => socket.end(answer));
    t.equal(await askNotReady(port, LONG), reason, JSON.stringify(answer));
  }
});
