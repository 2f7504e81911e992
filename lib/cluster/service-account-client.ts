// Talks to the API server as the service account of the pod, over node:https. For programs of which one runs on each node:
// the client library of cluster-client.ts takes 11 MB more (docs/decisions/0023).
import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { errors } from '../errors.ts';
import type { JsonObject } from '../json.ts';
import { answerError, reasonOf } from './api-error.ts';
import type { OperatorClient, Query, WatchEvent } from './cluster-client.ts';
import { linesOf } from './json-lines.ts';

export interface ServiceAccountAddress {
  /** Where the kubelet puts token and ca.crt. */
  folder: string;
  /** Of the API server, as the kubelet tells containers. */
  host: string | undefined;
  port: string | undefined;
}

interface RequestContent {
  query?: Query;
  /** A strategic merge patch. */
  body?: JsonObject;
  signal?: AbortSignal;
}

const REQUEST_MS = 15_000;
/** Milliseconds until an answer begins. */
const ANSWER_MS = 10_000;
/** Two watches, and some requests. */
const CONNECTIONS = 8;

/** What agents need of a client. */
export type NodeClient = Pick<OperatorClient, 'get' | 'mergePatch' | 'watch'>;

/**
 * @param answerMs milliseconds until an answer begins, a watch's too
 * @throws CodedError CLUSTER_CONFIGURATION where it is no pod with a service account
 */
export function connectServiceAccount({ folder, host, port }: ServiceAccountAddress, answerMs = ANSWER_MS): NodeClient {
  if (!host || !port) throw errors.CLUSTER_CONFIGURATION('KUBERNETES_SERVICE_HOST', 'it is not set');
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  /** Both are renewed from time to time. */
  const credentials = () => ({
    ca: readFileSync(`${folder}/ca.crt`, 'utf8'),
    token: readFileSync(`${folder}/token`, 'utf8').trim(),
  });
  try {
    credentials();
  } catch (error) {
    throw errors.CLUSTER_CONFIGURATION(folder, reasonOf(error));
  }

  function send(method: string, path: string, { query = {}, body, signal }: RequestContent): Promise<IncomingMessage> {
    const { ca, token } = credentials();
    const text = body === undefined ? undefined : JSON.stringify(body);
    const search = new URLSearchParams(query).toString();
    return new Promise((resolve, reject) => {
      const call = request({
        ...{ agent, ca, host, port, method, path: search === '' ? path : `${path}?${search}` },
        ...(signal && { signal }),
        headers: {
          accept: 'application/json',
          authorization: `Bearer ${token}`,
          ...(text !== undefined && {
            'content-type': 'application/strategic-merge-patch+json',
            'content-length': Buffer.byteLength(text),
          }),
        },
      });
      // A server that has gone without a word would keep a watch for minutes: the kernel goes on trying to connect.
      const unanswered = setTimeout(() => call.destroy(new Error(`no answer within ${answerMs} ms`)), answerMs);
      call.once('error', (error) => {
        clearTimeout(unanswered);
        reject(error);
      });
      call.once('response', (response) => {
        clearTimeout(unanswered);
        resolve(response);
      });
      call.end(text);
    });
  }

  async function successful(method: string, path: string, content: RequestContent): Promise<IncomingMessage> {
    const response = await send(method, path, content);
    const status = response.statusCode ?? 0;
    if (status >= 200 && status < 300) return response;
    throw answerError(status, await textOf(response));
  }

  async function ask(method: string, path: string, content: RequestContent): Promise<JsonObject> {
    const signal = AbortSignal.timeout(REQUEST_MS);
    return JSON.parse(await textOf(await successful(method, path, { ...content, signal }))) as JsonObject;
  }

  return {
    get: (path, query = {}) => ask('GET', path, { query }),
    mergePatch: (path, body, query = {}) => ask('PATCH', path, { query, body }),
    async *watch(path, query, signal, opened) {
      const response = await successful('GET', path, { query: { ...query, watch: 'true' }, signal });
      opened();
      for await (const line of linesOf(response)) yield JSON.parse(line) as WatchEvent;
    },
  };
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += chunk;
  return text;
}
