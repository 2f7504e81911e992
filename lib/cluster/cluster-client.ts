// Talks to the API server with the client library. Loaded only where a cluster is configured: the library is large.
// Requests and answers are raw JSON: the typed clients drop fields that they do not know, and are four times as large.
import { existsSync } from 'node:fs';
import { delimiter } from 'node:path';
import {
  createConfiguration,
  HttpMethod,
  KubeConfig,
  RequestContext,
  type ResponseContext,
} from '@kubernetes/client-node';
import { errors } from '../errors.ts';
import { type JsonObject, shortText } from '../json.ts';
import { ApiError, answerError, reasonOf } from './api-error.ts';
import { linesOf } from './json-lines.ts';

/** Value of the kubeconfig option that stands for the service account of the pod. */
const IN_CLUSTER = 'in-cluster';

const REQUEST_MS = 15_000;
const UNAUTHORIZED = 401;

export type Query = Record<string, string>;

export interface WatchEvent {
  type: string;
  object: JsonObject;
}

/** Each path is one of the API server's, from the slash on. All reject with ApiError, or with the network's error. */
export interface ClusterClient {
  get(path: string, query?: Query): Promise<JsonObject>;
  create(path: string, body: JsonObject, query?: Query): Promise<JsonObject>;
  /** Refused with status 409 where the body's resourceVersion is not the present one. */
  replace(path: string, body: JsonObject): Promise<JsonObject>;
  /** @param operations JSON Patch (RFC 6902) */
  patch(path: string, operations: JsonObject[]): Promise<JsonObject>;
  /**
   * Follows a collection until the server ends the watch or the signal fires.
   * @param query with the resourceVersion to begin at
   * @param opened called when the server has begun to answer
   */
  watch(path: string, query: Query, signal: AbortSignal, opened: () => void): AsyncGenerator<WatchEvent>;
}

/** What agents and the commands that an operator runs need as well. */
export interface OperatorClient extends ClusterClient {
  /** @param options a DeleteOptions, such as the grace period */
  remove(path: string, options?: JsonObject): Promise<JsonObject>;
  /** An answer that is no JSON and may go on for long, as a log that is followed is; it ends when the signal fires. */
  stream(path: string, query: Query, signal: AbortSignal): AsyncGenerator<Uint8Array>;
  /** @param body a strategic merge patch: lists such as ephemeralContainers are merged by name */
  mergePatch(path: string, body: JsonObject, query?: Query): Promise<JsonObject>;
}

/**
 * @param kubeconfig path of a kubeconfig file, or IN_CLUSTER
 * @throws CodedError CLUSTER_CONFIGURATION
 */
export function connectCluster(kubeconfig: string): ClusterClient {
  return clientFor(loadConfig(kubeconfig));
}

/**
 * As kubectl connects.
 * @param kubeconfig paths with the system's delimiter between, which are merged; or IN_CLUSTER
 * @param context its name; '' for the current one
 * @throws CodedError CLUSTER_CONFIGURATION
 */
export function connectOperator(kubeconfig: string, context: string): OperatorClient {
  return clientFor(loadOperatorConfig(kubeconfig, context));
}

/** The configuration of connectOperator, for the library's streams. */
export function loadOperatorConfig(kubeconfig: string, context: string): KubeConfig {
  const config = loadConfig(kubeconfig);
  if (context === '') return config;
  if (!config.getContextObject(context))
    throw errors.CLUSTER_CONFIGURATION(kubeconfig, `it has no context "${shortText(context, 100)}"`);
  config.setCurrentContext(context);
  return config;
}

/** A client with a connection of its own to the configuration's current context. */ export function clientFor(
  config: KubeConfig,
): OperatorClient {
  const server = config.getCurrentCluster()?.server ?? '';
  const { httpApi } = createConfiguration();
  const connection = shareConnection();

  async function send<T>(context: RequestContext, read: (body: ResponseContext['body']) => Promise<T>): Promise<T> {
    await config.applySecurityAuthentication(context);
    connection.use(context);
    try {
      const response = await httpApi.send(context).toPromise();
      if (response.httpStatusCode >= 300) throw answerError(response.httpStatusCode, await response.body.text());
      return await read(response.body);
    } catch (error) {
      // After a refusal the connection works, except where its credentials are rejected.
      if (!(error instanceof ApiError) || error.status === UNAUTHORIZED) connection.forget();
      throw error;
    }
  }

  async function request(method: HttpMethod, path: string, { query = {}, body, type = 'application/json' }: Content) {
    const context = new RequestContext(`${server}${path}`, method);
    for (const [name, value] of Object.entries(query)) context.setQueryParam(name, value);
    if (body !== undefined) {
      context.setHeaderParam('content-type', type);
      context.setBody(JSON.stringify(body));
    }
    context.setSignal(AbortSignal.timeout(REQUEST_MS));
    return send(context, async (body) => JSON.parse(await body.text()) as JsonObject);
  }

  return {
    get: (path, query = {}) => request(HttpMethod.GET, path, { query }),
    create: (path, body, query = {}) => request(HttpMethod.POST, path, { body, query }),
    replace: (path, body) => request(HttpMethod.PUT, path, { body }),
    patch: (path, body) => request(HttpMethod.PATCH, path, { body, type: 'application/json-patch+json' }),
    mergePatch: (path, body, query = {}) =>
      request(HttpMethod.PATCH, path, { body, query, type: 'application/strategic-merge-patch+json' }),
    remove: (path, options = {}) => request(HttpMethod.DELETE, path, { body: options }),
    async *stream(path, query, signal) {
      const context = new RequestContext(`${server}${path}`, HttpMethod.GET);
      for (const [name, value] of Object.entries(query)) context.setQueryParam(name, value);
      context.setSignal(signal);
      const stream = await send(context, async (body) => body.stream());
      if (stream !== null) yield* stream as AsyncIterable<Uint8Array>;
    },
    async *watch(path, query, signal, opened) {
      const context = new RequestContext(`${server}${path}`, HttpMethod.GET);
      for (const [name, value] of Object.entries({ ...query, watch: 'true' })) context.setQueryParam(name, value);
      context.setSignal(signal);
      const stream = await send(context, async (body) => body.stream());
      opened();
      if (stream === null) return;
      for await (const line of linesOf(stream)) yield JSON.parse(line) as WatchEvent;
    },
  };
}

interface Content {
  query?: Query;
  body?: unknown;
  type?: string;
}

function loadConfig(kubeconfig: string): KubeConfig {
  const config = new KubeConfig();
  try {
    if (kubeconfig === IN_CLUSTER) config.loadFromCluster();
    else loadFiles(config, kubeconfig.split(delimiter));
  } catch (error) {
    throw errors.CLUSTER_CONFIGURATION(kubeconfig, reasonOf(error));
  }
  if (!config.getCurrentCluster()) throw errors.CLUSTER_CONFIGURATION(kubeconfig, 'it names no current cluster');
  return config;
}

/** As kubectl merges them: the first file wins, and of several files missing ones are skipped. */
function loadFiles(config: KubeConfig, paths: string[]): void {
  const [first = '', ...others] = paths.length > 1 ? paths.filter((path) => existsSync(path)) : paths;
  config.loadFromFile(first);
  for (const path of others) {
    const other = new KubeConfig();
    other.loadFromFile(path);
    config.mergeConfig(other, true);
  }
}

// One connection to the API server for the requests that follow one another.

type Dispatcher = NonNullable<ReturnType<RequestContext['getDispatcher']>>;

/** Milliseconds. Credentials and CA may be replaced: a new connection uses the present ones. */
const CONNECTION_MS = 60_000;

/**
 * The library opens a connection for each request and lets the server close it: a list of a hundred pages took 20 MB.
 * @param now milliseconds, from any beginning
 */
export function shareConnection(now = () => performance.now()) {
  let shared: { dispatcher: Dispatcher; until: number } | undefined;
  return {
    /** Gives a request the shared connection, or makes its connection the shared one. */
    use(context: RequestContext): void {
      const own = context.getDispatcher();
      if (own === undefined) return;
      if (shared === undefined || now() > shared.until) shared = { dispatcher: own, until: now() + CONNECTION_MS };
      context.setDispatcher(shared.dispatcher);
    },
    /** The next request opens a connection. */
    forget(): void {
      shared = undefined;
    },
  };
}
