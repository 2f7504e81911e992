// The local side of `dashboard`: an HTTP server on loopback that passes what a browser asks on to one page server. It is no open
// proxy: only GET, and only under the names that it printed itself, so that no page of another site can read it by a name of its
// own that leads to 127.0.0.1 (DNS rebinding).
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { WebhookAnswer } from '../webhook-pages.ts';

/** Asks for a path with its query. Rejects where nothing answers. */
export type AskPage = (path: string, accept: string) => Promise<WebhookAnswer>;

/** Of one connection or of one hop. */
const NOT_PASSED_ON = new Set(['connection', 'keep-alive', 'transfer-encoding', 'content-length', 'date', 'upgrade']);
const LONGEST_PATH = 4096;

/**
 * The server does not listen yet.
 * @param failed what to say where the webhook cannot be asked
 */
export function dashboardServer(ask: AskPage, failed: (error: unknown) => string): Server {
  const server = createServer((request, response) => {
    const port = (server.address() as AddressInfo | null)?.port ?? 0;
    const refusal = refusalOf(request, port);
    if (refusal !== undefined) {
      sendText(response, ...refusal);
      return;
    }
    ask(request.url ?? '/', String(request.headers.accept ?? '*/*')).then(
      (answer) => sendAnswer(response, answer, request.method === 'HEAD'),
      (error: unknown) => sendText(response, 502, `${failed(error)}\n`),
    );
  });
  return server;
}

/** Pure. @returns undefined where the request is to be passed on */
export function refusalOf(
  { method, url = '', headers }: Pick<IncomingMessage, 'method' | 'url' | 'headers'>,
  port: number,
): [status: number, text: string] | undefined {
  const hosts = ['127.0.0.1', 'localhost'].map((name) => `${name}:${port}`);
  // Browsers leave the port out where it is 80.
  if (port === 80) hosts.push('127.0.0.1', 'localhost');
  if (!hosts.includes(String(headers.host ?? '').toLowerCase()))
    return [421, `this is only served as http://127.0.0.1:${port}\n`];
  if (method !== 'GET' && method !== 'HEAD') return [405, 'only GET\n'];
  if (!/^\/[!-~]*$/.test(url) || url.length > LONGEST_PATH) return [400, 'not a path\n'];
  return undefined;
}

function sendAnswer(response: ServerResponse, { status, headers, body }: WebhookAnswer, headOnly: boolean): void {
  for (const [name, value] of Object.entries(headers))
    if (value !== undefined && !NOT_PASSED_ON.has(name)) response.setHeader(name, value);
  response.writeHead(status, { 'content-length': Buffer.byteLength(body) });
  response.end(headOnly ? undefined : body);
}

function sendText(response: ServerResponse, status: number, text: string): void {
  const headers = { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' };
  response.writeHead(status, headers).end(text);
}
