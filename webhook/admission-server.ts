// The HTTPS server of the webhook: POST /mutate and nothing else.
import { Server as TlsServer } from 'node:tls';
import fastify, { type FastifyError, type FastifyReply, type FastifyRequest, LogController } from 'fastify';
import { CodedError } from '../lib/errors.ts';
import { isObject, shortText } from '../lib/json.ts';
import type { NamespaceMetadata } from '../lib/mesh/recognise-mesh.ts';
import { type Admission, admit, admitAfterError, describeRequest } from './admission/admission.ts';
import type { InjectionSettings } from './admission/containers.ts';
import { makePatchEncoder, type PatchInputs } from './admission/patch.ts';
import { REVIEW_SCHEMA, type Review } from './admission/review.ts';
import type { KeyPair } from './certificates/make-certificates.ts';
import { createLimitedServer, TLS } from './limited-server.ts';
import { createBodyReader } from './review-body.ts';
import { errors } from './webhook-errors.ts';
import type { Metrics } from './webhook-metrics.ts';

export interface ServerOptions {
  settings: InjectionSettings;
  metrics: Metrics;
  /** What decisions read of a namespace, or undefined where it is not known. */
  namespaceOf(namespace: string): NamespaceMetadata | undefined;
  /** True from the stop signal on: each answer then asks the client to open its next connection elsewhere. */
  draining(): boolean;
  /**
   * Private key and certificate chain, PEM; empty where useCertificate follows. Absent in tests that open no socket.
   */
  tls?: Partial<KeyPair>;
  bodyLimit: number;
  logLevel: string;
  /** Where log lines go; standard output if absent. */
  logStream?: { write(line: string): void };
}

/** New connections get this certificate; established ones keep theirs. */
export function useCertificate({ server }: ReturnType<typeof buildServer>, { key, cert }: KeyPair): void {
  if (server instanceof TlsServer) server.setSecureContext({ key, cert, ...TLS });
}

/** Makes the server; it does not listen yet. Answers are AdmissionReviews, or `{code, message}` with a 4xx status. */
export function buildServer(options: ServerOptions) {
  const { metrics, tls, logLevel: level, logStream: stream } = options;
  const server = fastify({
    serverFactory: (answer) => createLimitedServer(answer, tls),
    // Both defaults make calls fail at a rollout: requests that are under way at closing are answered.
    return503OnClosing: false,
    forceCloseConnections: false,
    // Ajv as fastify sets it up would change the body: convert types, fill in defaults, remove members.
    ajv: { customOptions: { coerceTypes: false, useDefaults: false, removeAdditional: false } },
    logController: new LogController({ disableRequestLogging: true }),
    // A logger for each request costs more than the admission; lines carry the request's uid.
    childLoggerFactory: (logger) => logger,
    logger: stream ? { level, stream } : { level },
  });
  server.removeAllContentTypeParsers();
  const readBody = createBodyReader(options.bodyLimit);
  // A Pod is passed on as it came, never merged into anything, so odd keys such as __proto__ are harmless.
  server.addContentTypeParser('application/json', (request: FastifyRequest) => readBody(request.raw));
  server.addHook('onSend', (_request, reply, _payload, done) => {
    if (options.draining()) reply.header('connection', 'close');
    done();
  });
  server.setNotFoundHandler((request, reply) => send(reply, 404, routeUnknown(request)));
  server.setErrorHandler((error: FastifyError, request, reply) => {
    const [status, answer] = statusAndError(error, request);
    // With failurePolicy Ignore the API server then creates the pod as it is.
    const failedOpen = status >= 500 || status === 413;
    metrics.admissions.inc({ result: failedOpen ? 'error' : 'invalid', reason: answer.code });
    // The rest of such a body is not worth reading.
    if (failedOpen) reply.header('connection', 'close');
    if (status === 500) request.log.error({ err: error }, answer.message);
    else request.log.warn({ code: answer.code, from: request.ip }, answer.message);
    return send(reply, status, answer);
  });
  const encode = makePatchEncoder(options.settings);
  const logsAll = ['debug', 'trace'].includes(level);
  server.post('/mutate', { schema: { body: REVIEW_SCHEMA } }, (request, reply) => {
    const review = request.body as Review;
    const admission = decideOrFailOpen(review, request, options, encode);
    const { result, reason } = admission;
    const duration = reply.elapsedTime;
    metrics.admissions.inc({ result, reason });
    metrics.duration.observe(duration / 1000);
    // Guarded pods are in metrics and coverage; a line for each would be a fifth of an admission's cost.
    if (!GUARDS.has(result)) request.log.info(logLine(review, admission, duration), 'admission');
    else if (logsAll) request.log.debug(logLine(review, admission, duration), 'admission');
    return reply.send(admission.response);
  });
  return server;
}

/** Results of admissions whose pods something will guard. */
const GUARDS = new Set<Admission['result']>(['injected', 'gated', 'observed']);

/** A fault of ours never blocks a pod, and it is always reported. */
function decideOrFailOpen(
  review: Review,
  request: FastifyRequest,
  options: ServerOptions,
  encode: (inputs: PatchInputs) => string,
): Admission {
  try {
    const { namespace: name } = review.request;
    const namespace = typeof name === 'string' ? options.namespaceOf(name) : undefined;
    return admit(review, namespace, options.settings, encode);
  } catch (error) {
    request.log.error({ uid: review.request.uid, err: error }, 'deciding failed: the pod is created unguarded');
    return admitAfterError(review.request.uid);
  }
}

function logLine({ request }: Review, { result, reason, message }: Admission, durationMs: number) {
  const line = { uid: request.uid, ...describeRequest(request), result, reason, durationMs };
  return message === undefined ? line : { ...line, message };
}

function send(reply: FastifyReply, status: number, { code, message }: CodedError) {
  return reply.code(status).send({ code, message });
}

// Answers to requests that are no AdmissionReview.

/** Errors of the reader of bodies. */
const BODY_STATUS: Record<string, number> = { REVIEW_TOO_LARGE: 413, REVIEW_TOO_COMPLEX: 413, REVIEWS_TOO_MANY: 503 };

/**
 * @param error what fastify or the reader of bodies reports of a request
 * @returns HTTP status, and the error to answer; 500 only where the fault is ours
 */
function statusAndError(error: FastifyError | CodedError, request: FastifyRequest): [number, CodedError] {
  if (error instanceof CodedError) return [BODY_STATUS[error.code] ?? 500, error];
  if (error.validation) return [400, schemaError(error, request.body)];
  const status = error.statusCode ?? 500;
  if (status === 415) return [415, errors.REVIEW_CONTENT_TYPE(shortText(request.headers['content-type'], 100))];
  if (error instanceof SyntaxError || (status >= 400 && status < 500)) {
    return [400, errors.REVIEW_MALFORMED(shortText(error.message, 200))];
  }
  return [500, errors.INTERNAL()];
}

function routeUnknown(request: FastifyRequest): CodedError {
  return errors.ROUTE_UNKNOWN(request.method, shortText(request.url, 100));
}

function schemaError(error: FastifyError, body: unknown): CodedError {
  const first = error.validation?.[0];
  const isVersion = first?.instancePath === '/apiVersion' || first?.instancePath === '/kind';
  if (isVersion && isObject(body)) {
    return errors.REVIEW_WRONG_VERSION(shortText(body['apiVersion'], 100), shortText(body['kind'], 100));
  }
  return errors.REVIEW_INVALID(shortText(error.message, 200));
}
