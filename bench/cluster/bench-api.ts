// A client of the API server that keeps its connections: kubectl would take longer to start than what is measured.
import { Agent, type RequestOptions, request } from 'node:https';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { KubeConfig } from '@kubernetes/client-node';

const CONNECTIONS = 8;
const LIMIT = 60_000;
/** Milliseconds. */
const WATCH_PAUSE = 50;

// biome-ignore lint/suspicious/noExplicitAny: objects of the API server, of which the bench reads single members
export type ApiJson = any;

export interface Api {
  /** A PATCH is a JSON merge patch. @throws Error with what the server said, where the status is 300 or more */
  ask(method: 'GET' | 'POST' | 'DELETE' | 'PATCH', path: string, body?: object): Promise<ApiJson>;
  /** Calls back with each object of a collection, and again when it has changed, until it is stopped. */
  watch(path: string, seen: (object: ApiJson) => void): { stop(): void };
  close(): void;
}

export async function connect(kubeconfig: string): Promise<Api> {
  const config = new KubeConfig();
  config.loadFromFile(kubeconfig);
  const identity: RequestOptions = {};
  await config.applyToHTTPSOptions(identity as Parameters<KubeConfig['applyToHTTPSOptions']>[0]);
  const server = config.getCurrentCluster()?.server ?? '';
  const { ca, cert, key } = identity;
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });

  const send = (method: string, path: string, options: RequestOptions, body = '') =>
    new Promise<import('node:http').IncomingMessage>((resolve, reject) => {
      const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
      const headers = { 'content-type': type, 'content-length': Buffer.byteLength(body) };
      const sent = request(
        `${server}${path}`,
        { method, headers, ca, cert, key, ...options } as RequestOptions,
        resolve,
      );
      sent.on('error', reject).end(body);
    });

  return {
    async ask(method, path, body) {
      const signal = AbortSignal.timeout(LIMIT);
      const answer = await send(method, path, { agent, signal }, body && JSON.stringify(body));
      const text = (await answer.setEncoding('utf8').toArray()).join('');
      if ((answer.statusCode ?? 500) >= 300)
        throw new Error(`${method} ${path}: ${answer.statusCode}: ${text.slice(0, 500)}`);
      return JSON.parse(text);
    },
    watch(path, seen) {
      const controller = new AbortController();
      const { signal } = controller;
      const follow = async () => {
        const answer = await send('GET', `${path}${path.includes('?') ? '&' : '?'}watch=1`, { signal });
        for await (const line of createInterface(answer)) {
          const { type, object } = JSON.parse(line);
          if (type !== 'ERROR') seen(object);
        }
      };
      const keepFollowing = async () => {
        while (!signal.aborted) {
          // A server that has just written an object may not be ready to watch from it: it ends the watch with an
          // error.
          await follow().catch(() => undefined);
          await wait(WATCH_PAUSE);
        }
      };
      void keepFollowing();
      return { stop: () => controller.abort() };
    },
    close: () => agent.destroy(),
  };
}

/** Calls `work` for 0 to count-1, as many at a time as there are connections. */
export async function inParallel(count: number, work: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: Math.min(CONNECTIONS, count) }, worker));
}
