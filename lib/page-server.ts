// An HTTP server of a few pages that are read only. Anybody in the network can ask, so nothing that a client does or
// leaves undone may cost more than a little (docs/decisions/0019): one request a connection, a deadline for all of it, a
// bound on connections and on what is read of each.
import { createServer, type Server, type Socket } from 'node:net';
import { monotonicNow } from './clock.ts';
import { limitConnections } from './connection-limit.ts';

export interface PageRequest {
  query: URLSearchParams;
  /** Header Accept, or ''. */
  accept: string;
  /**
   * True where the client is in the same network namespace, as kubectl exec and kubectl port-forward are, and asks for a
   * loopback name.
   */
  local: boolean;
}

export interface Page {
  status: number;
  /** Media type; plain text where it is absent. */
  type?: string;
  /** Further headers, names in lower case. */
  headers?: Record<string, string>;
  body: string;
}

/** By path. A page that throws is answered with 500, without its message. */
export type Pages = Record<string, (request: PageRequest) => Page | Promise<Page>>;

/** A page of JSON. */
export function jsonPage(status: number, data: unknown): Page {
  return { status, type: 'application/json; charset=utf-8', body: JSON.stringify(data) };
}

export interface PageServerOptions {
  /** Milliseconds that a connection may last, from its beginning until its answer has been read. */
  deadline: number;
  /** Connections at a time; the oldest is given up for the newest. */
  connections: number;
}

/** Bytes that are read of a connection: more than any browser, probe or scraper sends. */
const MOST_READ = 16 * 1024;
const STATUS: Record<number, string> = {
  200: 'OK',
  400: 'Bad Request',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
};

/** The server does not listen yet. */
export interface PageServer {
  server: Server;
  /** Stops listening and ends all connections. */
  close(): Promise<void>;
}

export function makePageServer(pages: Pages, { deadline, connections }: PageServerOptions): PageServer {
  // A client that has sent its request may end its side, and still wants the answer.
  const server = createServer({ allowHalfOpen: true }, (socket) => serveOne(socket, pages, deadline));
  const limit = limitConnections(server, connections);
  return {
    server,
    close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      limit.destroyAll();
      return closed;
    },
  };
}

/** Reads one request, answers it, and asks the client to close. What comes after the request is not looked at. */
function serveOne(socket: Socket, pages: Pages, deadline: number): void {
  let head = '';
  let asked = false;
  let bytes = 0;
  const timer = setTimeout(() => socket.destroy(), deadline);
  socket.on('close', () => clearTimeout(timer));
  // A client that goes away is nothing to report.
  socket.on('error', () => undefined);
  socket.on('end', () => {
    if (!asked) socket.destroy();
  });
  socket.on('data', (data) => {
    bytes += data.length;
    if (bytes > MOST_READ && asked) socket.destroy();
    if (asked) return;
    head += data.toString('latin1');
    const end = head.indexOf('\r\n\r\n', Math.max(0, head.length - data.length - 3));
    asked = end >= 0 || bytes > MOST_READ;
    if (!asked) return;
    const request = end >= 0 && end <= MOST_READ ? head.slice(0, end) : '';
    head = '';
    void pageFor(request, pages, isLocal(socket)).then((page) => send(socket, page, /^HEAD /.test(request)));
  });
}

async function pageFor(head: string, pages: Pages, local: boolean): Promise<Page> {
  const [, method, url = ''] = /^([A-Z]+) (\S+) HTTP\/1\.[01](?:\r\n|$)/.exec(head) ?? [];
  if (method === undefined) return { status: 400, body: 'not a request of HTTP/1.1, or one that is too long\n' };
  if (method !== 'GET' && method !== 'HEAD') return { status: 405, body: 'only GET\n' };
  const [path = '', query = ''] = url.split('?', 2);
  const page = Object.hasOwn(pages, path) ? pages[path] : undefined;
  if (page === undefined) return { status: 404, body: `no such page: ${Object.keys(pages).join(' ')}\n` };
  const accept = /\r\naccept:([^\r\n]*)/i.exec(head)?.[1]?.trim() ?? '';
  try {
    return await page({ query: new URLSearchParams(query), accept, local: local && asksForLoopback(head) });
  } catch {
    return { status: 500, body: 'no report can be made\n' };
  }
}

/**
 * A page of another site, open in the browser of somebody who runs kubectl port-forward, may give its own name the address
 * 127.0.0.1 (DNS rebinding). Its scripts may then read the answers; the header Host still has its name. A program that sends no
 * Host is no browser.
 */
function asksForLoopback(head: string): boolean {
  const hosts = [...head.matchAll(/\r\nhost:[ \t]*([^\r\n]*)/gi)].map(([, host = '']) => host.trim());
  return hosts.every((host) => /^(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?$/i.test(host));
}

function send(socket: Socket, { status, type, headers = {}, body }: Page, headOnly: boolean): void {
  if (socket.destroyed) return;
  const head = [
    `HTTP/1.1 ${status} ${STATUS[status] ?? ''}`,
    `date: ${new Date().toUTCString()}`,
    `content-type: ${type ?? 'text/plain; charset=utf-8'}`,
    `content-length: ${Buffer.byteLength(body)}`,
    'cache-control: no-store',
    'x-content-type-options: nosniff',
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    'connection: close',
  ].join('\r\n');
  socket.end(`${head}\r\n\r\n${headOnly ? '' : body}`);
}

/** Both ends: a sidecar of a mesh passes on what comes from outside with a loopback address of its own. */
function isLocal({ localAddress, remoteAddress }: Socket): boolean {
  return isLoopback(localAddress) && isLoopback(remoteAddress);
}

function isLoopback(address: string | undefined): boolean {
  return address === '::1' || address === '127.0.0.1' || address === '::ffff:127.0.0.1';
}

/**
 * A page, or another value, that is made again only after a while, however many ask for it. Those that ask at the same
 * time share one run.
 * @param milliseconds from the moment it was made
 * @param now milliseconds of a clock that never goes back
 */
export function madeAtMostEvery<T>(milliseconds: number, make: () => T, now = monotonicNow): () => T {
  let made: { value: T; at: number } | undefined;
  return () => {
    if (made === undefined || now() - made.at >= milliseconds) made = { value: make(), at: now() };
    return made.value;
  };
}
