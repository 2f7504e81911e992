import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { makePageServer, type PageServerOptions, type Pages } from '../../lib/page-server.ts';

const PAGES: Pages = {
  '/small': () => ({ status: 200, body: 'here\n' }),
  '/asked': ({ query, accept, local }) => ({ status: 200, body: JSON.stringify([query.get('a'), accept, local]) }),
  '/large': () => ({ status: 200, body: 'x'.repeat(50_000_000) }),
  '/headers': () => ({ status: 200, headers: { 'x-own': 'yes' }, body: '' }),
  '/broken': async () => {
    throw new Error('secret');
  },
};

async function serve(t: Test, options: Partial<PageServerOptions> = {}, host = '127.0.0.1') {
  const { server, close } = makePageServer(PAGES, { deadline: 60_000, connections: 8, ...options });
  server.listen(0, host);
  t.teardown(close);
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port };
}

/** All that comes back for these bytes, until the server ends the connection. */
async function say(port: number, text: string): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port });
  socket.on('error', () => undefined);
  socket.write(text);
  return (await socket.setEncoding('latin1').toArray()).join('');
}

const closed = (socket: Socket) =>
  new Promise((resolve) =>
    socket
      .on('error', () => undefined)
      .on('close', resolve)
      .resume(),
  );

t.test('a request is answered with its page, and the connection ends', async (t) => {
  const { port } = await serve(t);
  const answer = await say(port, 'GET /small?x HTTP/1.1\r\nHost: a\r\n\r\n');
  t.match(answer, /^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\ncontent-length: 5\r\n[\s\S]*connection: close\r\n\r\nhere\n$/);
  t.match(
    await say(port, 'HEAD /small HTTP/1.0\r\n\r\n'),
    /^HTTP\/1\.1 200 OK\r\n[\s\S]*content-length: 5\r\n[\s\S]*\r\n\r\n$/,
  );
  const asked = await say(port, 'GET /asked?a=%20b HTTP/1.1\r\nX: y\r\nAccept:  text/plain \r\n\r\n');
  t.match(asked, /\r\n\r\n\[" b","text\/plain",true\]$/);
});

t.test('names of other sites make nobody local, although their address is loopback', async (t) => {
  const { port } = await serve(t);
  const isLocal = async (...hosts: string[]) => {
    const headers = hosts.map((host) => `${host}\r\n`).join('');
    return /,true\]$/.test(await say(port, `GET /asked HTTP/1.1\r\n${headers}\r\n`));
  };
  for (const host of ['localhost', 'LOCALHOST:8080', '127.0.0.1:8080', '[::1]:8080', '127.0.0.1 '])
    t.equal(await isLocal(`Host: ${host}`), true, host);
  t.equal(await isLocal(), true, 'no browser');
  const others = [
    'evil.example',
    'evil.example:8080',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    '',
    '127.0.0.2',
  ];
  for (const host of others) t.equal(await isLocal(`host:${host}`), false, host);
  t.equal(await isLocal('Host: localhost', 'Host: evil.example'), false, 'each of several counts');
});

t.test('a page has headers of its own, and none is guessed to be of another type', async (t) => {
  const { port } = await serve(t);
  const answer = await say(port, 'GET /headers HTTP/1.1\r\n\r\n');
  t.match(answer, /\r\nx-content-type-options: nosniff\r\n[\s\S]*x-own: yes\r\n/);
});

t.test('a request that comes byte by byte, and whose sender then ends its side, is answered', async (t) => {
  const { port } = await serve(t);
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  for (const byte of 'GET /small HTTP/1.1\r\n\r\n') {
    socket.write(byte);
    await new Promise(setImmediate);
  }
  socket.end();
  t.match((await socket.setEncoding('latin1').toArray()).join(''), /^HTTP\/1\.1 200 /);
});

t.test('what is no request for a page gets a clear answer', async (t) => {
  const { port } = await serve(t);
  const table: [string, number][] = [
    ['\r\n\r\n', 400],
    ['GET /small\r\n\r\n', 400],
    ['GET /small HTTP/2.0\r\n\r\n', 400],
    ['\u0016\u0003\u0001\u0002\r\n\r\n', 400],
    [`GET /${'x'.repeat(20_000)}`, 400],
    ['POST /small HTTP/1.1\r\nContent-Length: 1\r\n\r\nx', 405],
    ['GET /none HTTP/1.1\r\n\r\n', 404],
    ['GET __proto__ HTTP/1.1\r\n\r\n', 404],
    ['GET toString HTTP/1.1\r\n\r\n', 404],
    ['GET /broken HTTP/1.1\r\n\r\n', 500],
  ];
  for (const [text, status] of table) {
    const answer = await say(port, text);
    t.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `), JSON.stringify(text.slice(0, 40)));
    t.notMatch(answer, /secret/);
  }
});

t.test('requests behind the first one are not answered', async (t) => {
  const { port } = await serve(t);
  const answer = await say(port, 'GET /small HTTP/1.1\r\n\r\n'.repeat(500));
  t.equal(answer.split('HTTP/1.1 ').length - 1, 1);
});

t.test('who sends on and on is cut off', async (t) => {
  const { port } = await serve(t);
  const socket = connect({ host: '127.0.0.1', port });
  const end = closed(socket);
  const send = () => {
    while (!socket.destroyed && socket.write('GET /small HTTP/1.1\r\n\r\n'.repeat(100)));
  };
  socket.on('drain', send);
  send();
  await end;
});

t.test('the deadline ends who says nothing, who says half, and who does not read', async (t) => {
  const { port, server } = await serve(t, { deadline: 200 });
  for (const text of ['', 'GET /small HTTP/1.1\r\n', 'GET /large HTTP/1.1\r\n\r\n']) {
    const accepted = once(server, 'connection');
    const socket = connect({ host: '127.0.0.1', port }).pause();
    socket.on('error', () => undefined);
    socket.write(text);
    const [served] = (await accepted) as [Socket];
    await new Promise((resolve) => served.on('close', resolve));
    t.pass(JSON.stringify(text));
    socket.destroy();
  }
});

t.test('the oldest connection is given up for the newest, and every request is answered', async (t) => {
  const { port, server } = await serve(t, { connections: 3 });
  const hold = async () => {
    const accepted = once(server, 'connection');
    const socket = connect({ host: '127.0.0.1', port });
    await accepted;
    return { socket, end: closed(socket) };
  };
  const silent = [await hold(), await hold(), await hold()];
  for (let round = 0; round < 3; round++) {
    t.match(await say(port, 'GET /small HTTP/1.1\r\n\r\n'), /^HTTP\/1\.1 200 /);
    await silent[round]?.end;
    silent.push(await hold());
  }
  t.strictSame(
    silent.map(({ socket }) => socket.destroyed),
    [true, true, true, false, false, false],
  );
});

t.test('local is who comes over loopback, not who comes to another address of the host', async (t) => {
  const { port } = await serve(t, {}, '0.0.0.0');
  // Stands for a sidecar, which passes requests on from 127.0.0.6.
  const socket = connect({ host: '127.0.0.1', port, localAddress: '127.0.0.6' });
  socket.write('GET /asked HTTP/1.1\r\n\r\n');
  t.match((await socket.setEncoding('latin1').toArray()).join(''), /\[null,"",false\]$/);
});
