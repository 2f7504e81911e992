// The stream over a WebSocket, against a server that does what API server and kubelet do. A real one is in test/e2e.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { KubeConfig } from '@kubernetes/client-node';
import t, { type Test } from 'tap';
import { type WebSocket, WebSocketServer } from 'ws';
import { openPort } from '../../cli/port-forward.ts';

const PORT = Buffer.from([0x90, 0x1f]);
const frame = (channel: number, body: Uint8Array | string) => Buffer.concat([Buffer.of(channel), Buffer.from(body)]);

/** @param serve is called with each connection @param refusal answers the upgrade instead */
async function forward(t: Test, serve: (socket: WebSocket) => void, refusal?: { status: number; body: string }) {
  const paths: string[] = [];
  const sockets = new WebSocketServer({ noServer: true });
  const server = createServer().listen(0, '127.0.0.1');
  server.on('upgrade', (request, socket, head) => {
    paths.push(request.url ?? '');
    if (refusal !== undefined) {
      const { status, body } = refusal;
      socket.end(`HTTP/1.1 ${status} No\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`);
      return;
    }
    // In one write with the answer to the upgrade, as an API server near by does it.
    socket.cork();
    sockets.handleUpgrade(request, socket, head, serve);
    process.nextTick(() => socket.uncork());
  });
  await once(server, 'listening');
  t.teardown(() => {
    for (const client of sockets.clients) client.terminate();
    server.close();
  });
  const config = new KubeConfig();
  config.loadFromClusterAndUser(
    { name: 'c', server: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, skipTLSVerify: true },
    { name: 'u' },
  );
  return { open: () => openPort(config, 'own', 'webhook-0', 8080), paths };
}

/** As the kubelet begins. */
function begin(socket: WebSocket): void {
  socket.send(frame(0, PORT));
  socket.send(frame(1, PORT));
}

t.test('both directions, without the numbers of channels and ports', async (t) => {
  const { open, paths } = await forward(t, (socket) => {
    begin(socket);
    socket.send(frame(0, 'hello '));
    socket.on('message', (data: Buffer) => {
      socket.send(frame(0, `you said ${data.subarray(1)}`));
      socket.close();
    });
  });
  const stream = await open();
  stream.write('ping');
  t.equal((await stream.toArray()).join(''), 'hello you said ping');
  t.strictSame(paths, ['/api/v1/namespaces/own/pods/webhook-0/portforward?ports=8080']);
});

t.test('what the kubelet says of the port is the error', async (t) => {
  const { open } = await forward(t, (socket) => {
    begin(socket);
    socket.send(frame(1, 'connection refused'));
  });
  const stream = await open();
  await t.rejects(stream.toArray(), {
    code: 'PORT_FORWARD_FAILED',
    message: /port 8080 of pod own\/webhook-0 \(connection refused\)/,
  });
});

t.test("a refusal has the API server's words", async (t) => {
  const message = 'pods "webhook-0" is forbidden: User "jane" cannot create resource "pods/portforward"';
  const { open } = await forward(t, () => undefined, { status: 403, body: JSON.stringify({ message }) });
  await t.rejects(open(), { name: 'ApiError', message: `status 403: ${message}` });
});

t.test('a connection that ends before anything was said ends the stream', async (t) => {
  const { open } = await forward(t, (socket) => socket.close());
  t.strictSame(await (await open()).toArray(), []);
});
