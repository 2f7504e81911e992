import { once } from 'node:events';
import type { RequestListener } from 'node:http';
import { Agent, request } from 'node:https';
import { type AddressInfo, connect as connectTcp, type Socket } from 'node:net';
import { connect } from 'node:tls';
import t, { type Test } from 'tap';
import { makeCertificate } from '../../webhook/certificates/make-certificates.ts';
import { createLimitedServer } from '../../webhook/limited-server.ts';

const { key, cert, ca } = await makeCertificate(new Date());
const REQUEST = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

async function serve(t: Test, answer: RequestListener, limits = { connections: 3, answer: 60_000 }) {
  const server = createLimitedServer(answer, { key, cert }, limits);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const target = { host: '127.0.0.1', port, ca, servername: 'localhost' };
  const ask = (agent: Agent) =>
    new Promise<number>((resolve) => {
      const call = request({ ...target, agent }, (response) => {
        response.resume().on('end', () => resolve(response.statusCode ?? 0));
      });
      call.on('error', () => resolve(0)).end();
    });
  return { server, port, ask, open: () => connect(target).on('error', () => undefined) };
}

const ended = (socket: Socket) => new Promise((resolve) => socket.on('close', resolve).resume());

t.test('an answer that nobody reads is given up, with its connection', async (t) => {
  const { server, open } = await serve(t, (_, response) => response.end('x'.repeat(50_000_000)), {
    connections: 3,
    answer: 200,
  });
  const secured = once(server, 'secureConnection');
  const socket = open().pause();
  socket.write(REQUEST);
  const [served] = (await secured) as [Socket];
  await new Promise((resolve) => served.on('close', resolve));
  t.pass('it is closed');
  socket.destroy();
});

t.test('a client that does not wait for answers loses its connection; few of its requests are looked at', async (t) => {
  let asked = 0;
  const { open } = await serve(t, () => {
    asked += 1;
  });
  const socket = open();
  socket.write(REQUEST.repeat(5000));
  await ended(socket);
  t.equal(asked, 2);
});

t.test('requests one after the other over one connection are all answered', async (t) => {
  const { server, ask } = await serve(t, (_, response) => response.end('fine'));
  let connections = 0;
  server.on('secureConnection', () => {
    connections += 1;
  });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.teardown(() => agent.destroy());
  for (let index = 0; index < 500; index++) t.equal(await ask(agent), 200);
  t.equal(connections, 1);
});

t.test('the connection that is longest without a request is given up, handshake or not', async (t) => {
  const { server, port, ask, open } = await serve(t, (_, response) => response.end('fine'));
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.teardown(() => agent.destroy());
  t.equal(await ask(agent), 200, 'the first connection');
  const accepted = once(server, 'connection');
  const silent = connectTcp({ host: '127.0.0.1', port }).on('error', () => undefined);
  await accepted;
  // The client has finished its handshake before the server has.
  const openWhole = async () => {
    const secured = once(server, 'secureConnection');
    const socket = open();
    await secured;
    return socket;
  };
  const idle = await openWhole();
  t.equal(await ask(agent), 200, 'the first connection, used again');
  const silentEnds = ended(silent);
  const newer = await openWhole();
  await silentEnds;
  t.notOk(idle.destroyed);
  const idleEnds = ended(idle);
  const newest = open();
  await idleEnds;
  t.notOk(newer.destroyed);
  for (const socket of [newer, newest]) socket.destroy();
});
