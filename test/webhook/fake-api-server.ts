// An API server that knows namespaces: list and watch over HTTPS, and whatever goes wrong on demand. Tests may teach it more.
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { text } from 'node:stream/consumers';
import { makeCertificate } from '../../webhook/certificates/make-certificates.ts';
import { hostAndPort } from './test-server.ts';

export interface Namespace {
  name: string;
  labels?: Record<string, string>;
}

export interface FakeApiServer {
  url: string;
  /** PEM. */
  ca: string;
  /** What the next lists return. */
  namespaces: Namespace[];
  /** Status with which the next requests of that kind fail, one each, in order. */
  failures: { list: number[]; watch: number[] };
  /** How many connections there have been. */
  connections: number;
  /** `list` or `watch` with the resourceVersion that was asked for, in order. */
  requests: string[];
  /** Called when a watch is asked for, before it is answered. */
  beforeWatch(): void;
  /** Open watches, and the path of each. */
  watches: Set<ServerResponse>;
  paths: WeakMap<ServerResponse, string>;
  /** Answers a request in place of what is told here; undefined where it leaves that as it is. */
  answer: ((method: string, url: URL, body: string) => { status: number; body: object } | undefined) | undefined;
  /** Sends an event to all open watches, or to those of a path. */
  send(type: string, object: object, path?: string): void;
  /** Ends all open watches, as a server does after some minutes. */
  endWatches(): void;
  close(): Promise<void>;
}

let version = 1;
const { key, cert, ca } = await makeCertificate(new Date());

export function namespaceObject({ name, labels }: Namespace) {
  version += 1;
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels, resourceVersion: String(version) } };
}

export async function startFakeApiServer(namespaces: Namespace[]): Promise<FakeApiServer> {
  const server = createServer({ key, cert }, async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://api');
    const answer = api.answer?.(request.method ?? '', url, await text(request));
    if (answer !== undefined) {
      response.writeHead(answer.status, { 'content-type': 'application/json' });
      return void response.end(JSON.stringify(answer.body));
    }
    const { searchParams } = url;
    const kind = searchParams.get('watch') === 'true' ? 'watch' : 'list';
    api.requests.push(`${kind} ${searchParams.get('resourceVersion') ?? ''}`.trim());
    const failure = api.failures[kind].shift();
    response.writeHead(failure ?? 200, { 'content-type': 'application/json' });
    if (failure !== undefined) return void response.end(JSON.stringify({ kind: 'Status', code: failure }));
    if (kind === 'list') return void response.end(JSON.stringify(listOf(api.namespaces)));
    api.beforeWatch();
    response.flushHeaders();
    api.watches.add(response);
    api.paths.set(response, url.pathname);
    response.on('close', () => api.watches.delete(response));
  });
  server.on('secureConnection', () => {
    api.connections += 1;
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const api: FakeApiServer = {
    url: `https://${hostAndPort(server.address())}`,
    ca,
    namespaces,
    failures: { list: [], watch: [] },
    connections: 0,
    requests: [],
    answer: undefined,
    beforeWatch: () => {},
    watches: new Set(),
    paths: new WeakMap(),
    send: (type, object, path) => {
      for (const watch of api.watches) {
        if (path === undefined || api.paths.get(watch) === path) watch.write(`${JSON.stringify({ type, object })}\n`);
      }
    },
    endWatches: () => {
      for (const watch of api.watches) watch.end();
    },
    close: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
  return api;
}

/** A kubeconfig, as JSON, of a user of that server. */
export function kubeconfigFor(api: FakeApiServer, user: object): string {
  const cluster = { server: api.url, 'certificate-authority-data': Buffer.from(api.ca).toString('base64') };
  return JSON.stringify({
    clusters: [{ name: 'c', cluster }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  });
}

function listOf(namespaces: Namespace[]) {
  const items = namespaces.map(namespaceObject);
  return { apiVersion: 'v1', kind: 'NamespaceList', metadata: { resourceVersion: String(version) }, items };
}
