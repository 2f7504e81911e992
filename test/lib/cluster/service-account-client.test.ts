// The client of agents, against an HTTPS server on loopback. A real API server is in the cluster's tests.
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import t, { type Test } from 'tap';
import { ApiError } from '../../../lib/cluster/api-error.ts';
import { connectServiceAccount } from '../../../lib/cluster/service-account-client.ts';
import { makeCertificate } from '../../../webhook/certificates/make-certificates.ts';

const { key, cert, ca } = await makeCertificate(new Date());
const other = await makeCertificate(new Date());

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

async function serving(t: Test, answer: Answer, trusted = ca, answerMs?: number) {
  const server = createServer({ key, cert }, answer);
  let connections = 0;
  server.on('secureConnection', () => {
    connections += 1;
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  const folder = t.testdir({ token: 'first\n', 'ca.crt': trusted });
  const { port } = server.address() as AddressInfo;
  const client = connectServiceAccount({ folder, host: '127.0.0.1', port: String(port) }, answerMs);
  return { client, folder, connections: () => connections };
}

const json = (response: ServerResponse, status: number, body: object) => {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
};

t.test('requests carry the present token, over one connection', async (t) => {
  const seen: unknown[] = [];
  const { client, folder, connections } = await serving(t, (request, response) => {
    seen.push([request.method, request.url, request.headers.authorization]);
    json(response, 200, { items: [] });
  });
  t.same(await client.get('/api/v1/pods', { fieldSelector: 'spec.nodeName=a', limit: '2' }), { items: [] });
  writeFileSync(`${folder}/token`, 'second\n');
  await client.get('/api/v1/namespaces');
  t.same(seen, [
    ['GET', '/api/v1/pods?fieldSelector=spec.nodeName%3Da&limit=2', 'Bearer first'],
    ['GET', '/api/v1/namespaces', 'Bearer second'],
  ]);
  t.equal(connections(), 1);
});

t.test('a patch is a strategic merge patch', async (t) => {
  const seen: unknown[] = [];
  const { client } = await serving(t, async (request, response) => {
    seen.push(request.method, request.headers['content-type'], await text(request));
    json(response, 200, {});
  });
  await client.mergePatch('/api/v1/namespaces/a/pods/b/status', { status: { message: 'ü' } });
  t.same(seen, ['PATCH', 'application/strategic-merge-patch+json', '{"status":{"message":"ü"}}']);
});

t.test('a watch of which no answer begins is given up', async (t) => {
  const { client } = await serving(t, () => undefined, ca, 50);
  const events = client.watch('/api/v1/pods', {}, new AbortController().signal, () => t.fail('it was opened'));
  await t.rejects(events.next(), { message: 'no answer within 50 ms' });
});

t.test('a refusal has status, reason and message', async (t) => {
  const statuses = [403, 500, 200];
  const { client } = await serving(t, (_, response) => {
    json(response, statuses.shift() ?? 0, { kind: 'Status', reason: 'Forbidden', message: 'denied by policy' });
  });
  await t.rejects(client.get('/a'), new ApiError(403, 'Forbidden', 'status 403: denied by policy'));
  await t.rejects(client.get('/a'), { message: /status 500/ });
  t.match(await client.get('/a'), { kind: 'Status' });
});

t.test('a watch gives each event as it comes, and ends with its signal', async (t) => {
  let watching: ServerResponse | undefined;
  const { client } = await serving(t, (_, response) => {
    watching = response;
    response.writeHead(200);
    response.flushHeaders();
  });
  const stop = new AbortController();
  const opened = Promise.withResolvers<void>();
  const events = client.watch('/api/v1/pods', { resourceVersion: '7' }, stop.signal, opened.resolve);
  const first = events.next();
  await opened.promise;
  const [start, end] = ['{"type":"ADDED","object":{"a"', ':1}}\n{"type":"BOOKMARK","object":{}}\n'];
  watching?.write(start);
  watching?.write(end);
  t.match(await first, { value: { type: 'ADDED', object: { a: 1 } } });
  t.match(await events.next(), { value: { type: 'BOOKMARK' } });
  const last = events.next();
  stop.abort();
  await t.rejects(last);
});

t.test('a watch that is refused or breaks off is an error', async (t) => {
  const { client } = await serving(t, (request, response) => {
    if (request.url?.startsWith('/gone')) return json(response, 410, { reason: 'Expired' });
    response.writeHead(200);
    response.write('{"type":"ADDED","object":{}}\n', () => response.destroy());
  });
  const { signal } = new AbortController();
  const refused = client.watch('/gone', {}, signal, () => t.fail('opened'));
  await t.rejects(refused.next(), { message: /status 410/ });
  const broken = client.watch('/broken', {}, signal, () => {});
  t.match(await broken.next(), { value: { type: 'ADDED' } });
  await t.rejects(broken.next());
});

t.test('a server that another CA vouches for gets no token', async (t) => {
  const { client } = await serving(t, (_, response) => json(response, 200, {}), other.ca);
  await t.rejects(client.get('/api/v1/pods'), /certificate/);
});

t.test('outside of a pod it says what is missing', async (t) => {
  const folder = t.testdir({});
  mkdirSync(`${folder}/empty`);
  t.throws(() => connectServiceAccount({ folder, host: undefined, port: '443' }), { code: 'CLUSTER_CONFIGURATION' });
  t.throws(() => connectServiceAccount({ folder: `${folder}/empty`, host: '10.0.0.1', port: '443' }), {
    code: 'CLUSTER_CONFIGURATION',
  });
});
