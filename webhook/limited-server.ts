// The HTTP server under fastify. Anybody in the network can connect, so everything has a limit: connections, requests of
// one connection, and the time that each takes (docs/decisions/0019).
import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { Socket } from 'node:net';
import { limitConnections } from '../lib/connection-limit.ts';
import type { KeyPair } from './certificates/make-certificates.ts';

/** Longer than the API server's 90 s for idle connections, so that the API server closes them, not the webhook. */
const KEEP_ALIVE_MS = 120_000;
/** The API server waits 5 s for an answer (timeoutSeconds), so a request that takes longer to arrive has no reader. */
const REQUEST_MS = 10_000;
const HANDSHAKE_MS = 5000;
/** What these times are rounded up to. */
const STEP_MS = 1000;
/** Of one connection. Node may see the next request before it knows that the answer before has left. */
const UNFINISHED_ANSWERS = 2;

/** TLS 1.3, and of TLS 1.2 what authenticates the data itself and keeps old traffic secret (RFC 9325, section 4.2). */
export const TLS = {
  minVersion: 'TLSv1.2',
  ciphers: [
    'TLS_AES_256_GCM_SHA384',
    'TLS_CHACHA20_POLY1305_SHA256',
    'TLS_AES_128_GCM_SHA256',
    ...['ECDSA', 'RSA'].flatMap((key) =>
      ['AES128-GCM-SHA256', 'AES256-GCM-SHA384', 'CHACHA20-POLY1305'].map((cipher) => `ECDHE-${key}-${cipher}`),
    ),
  ].join(':'),
} as const;
const pairOf = ({ key, cert }: Partial<KeyPair>) => (key && cert ? { key, cert } : {});

const LIMITS = {
  /** The API servers of a cluster keep some dozens; each takes 80 KB. */
  connections: 512,
  /** Milliseconds from a request's head until its answer has been read. */
  answer: 15_000,
};

/** @param tls undefined for plain HTTP, in tests */
export function createLimitedServer(
  answer: RequestListener,
  tls: Partial<KeyPair> | undefined,
  limits = LIMITS,
): Server {
  const unfinished = new WeakMap<Socket, number>();
  const listener: RequestListener = (request, response) => {
    const { socket } = request;
    const count = (unfinished.get(socket) ?? 0) + 1;
    unfinished.set(socket, count);
    // Such a client does not wait for answers, or does not read them.
    if (count > UNFINISHED_ANSWERS) return void socket.destroy();
    limit.used(socket);
    const timer = setTimeout(() => socket.destroy(), limits.answer);
    response.once('close', () => {
      clearTimeout(timer);
      unfinished.set(socket, (unfinished.get(socket) ?? 1) - 1);
    });
    answer(request, response);
  };
  const times = { keepAliveTimeout: KEEP_ALIVE_MS, requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS };
  const common = { ...times, connectionsCheckingInterval: STEP_MS };
  const server = tls
    ? createHttpsServer({ ...common, ...pairOf(tls), ...TLS, handshakeTimeout: HANDSHAKE_MS }, listener)
    : createHttpServer(common, listener);
  const limit = limitConnections(server, limits.connections);
  return server;
}
