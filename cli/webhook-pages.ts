// Pages of the webhook, asked in its own pod through the API server: so it gives names too, and no port is open to the network.
import { type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';
import { reasonOf } from '../lib/cluster/api-error.ts';
import { listPages } from '../lib/cluster/reflector.ts';
import { OWN_NAMESPACE } from '../lib/contract.ts';
import { CodedError } from '../lib/errors.ts';
import { isObject, type JsonObject, objectAt, objectsAt, shortText } from '../lib/json.ts';
import type { CliClient } from './cli-command.ts';
import { errors } from './cli-errors.ts';
import { openPort } from './port-forward.ts';

/** The port of the pages, by name, as the Deployment has it. */
const PORT_NAME = 'metrics';
const DEFAULT_PORT = 8080;
const SELECTOR = 'app.kubernetes.io/name=invalid-drop,app.kubernetes.io/component=webhook';
/** The page that takes longest, /selfcheck, has 20 s. */
const ANSWER_MS = 20_000;
/** /coverage of 10,000 pods in 1,000 namespaces has half a megabyte. */
const ANSWER_BYTES = 32 * 1024 * 1024;

/** A replica of the webhook. */
export interface WebhookReplica {
  pod: string;
  port: number;
  ready: boolean;
}

export interface WebhookAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

/** The replicas that are not being deleted, the ready ones first. */
export async function findReplicas(client: Pick<CliClient, 'get'>): Promise<WebhookReplica[]> {
  const replicas: WebhookReplica[] = [];
  const path = `/api/v1/namespaces/${OWN_NAMESPACE}/pods`;
  for await (const { objects } of listPages(client, path, { labelSelector: SELECTOR })) {
    replicas.push(...objects.flatMap(replicaOf));
  }
  return replicas.sort((a, b) => Number(b.ready) - Number(a.ready));
}

function replicaOf(pod: JsonObject): WebhookReplica[] {
  const metadata = objectAt(pod, 'metadata');
  const name = shortText(metadata['name']);
  if (name === '' || metadata['deletionTimestamp'] !== undefined) return [];
  const ports = objectsAt(pod, 'spec', 'containers').flatMap((container) => objectsAt(container, 'ports'));
  const port = Number(ports.find((one) => one['name'] === PORT_NAME)?.['containerPort'] ?? DEFAULT_PORT);
  const ready = objectsAt(pod, 'status', 'conditions').some(
    ({ type, status }) => type === 'Ready' && status === 'True',
  );
  return [{ pod: name, port, ready }];
}

/**
 * Asks a replica that is Ready.
 * @param path with its query
 * @param accept media type
 * @throws CodedError WEBHOOK_NOT_READY, and what askReplica throws
 */
export async function askWebhook(client: CliClient, path: string, accept: string): Promise<WebhookAnswer> {
  const [first] = (await findReplicas(client)).filter(({ ready }) => ready);
  if (first === undefined) throw errors.WEBHOOK_NOT_READY();
  return askReplica(client, first, path, accept);
}

/** @throws ApiError where the API server refuses; CodedError PORT_FORWARD_FAILED or PAGE_TOO_LARGE */
export async function askReplica(
  client: CliClient,
  { pod, port }: WebhookReplica,
  path: string,
  accept: string,
): Promise<WebhookAnswer> {
  const stream = await openPort(client.config, OWN_NAMESPACE, pod, port);
  try {
    return await new Promise<WebhookAnswer>((resolve, reject) => {
      const signal = AbortSignal.timeout(ANSWER_MS);
      const headers = { host: 'localhost', accept, connection: 'close' };
      const call = request({ createConnection: () => stream, path, headers, signal }, (response) => {
        bodyOf(response).then((body) => {
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
        }, reject);
      });
      stream.once('error', reject);
      call.once('error', reject);
      call.end();
    });
  } catch (error) {
    // The pod goes away, or its server has given the connection up.
    if (error instanceof CodedError) throw error;
    throw errors.PORT_FORWARD_FAILED(`${OWN_NAMESPACE}/${pod}`, port, reasonOf(error));
  } finally {
    stream.destroy();
  }
}

async function bodyOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response) {
    bytes += (chunk as Buffer).length;
    if (bytes > ANSWER_BYTES) throw errors.PAGE_TOO_LARGE(ANSWER_BYTES);
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString();
}

/** @throws CodedError PAGE_UNEXPECTED where the answer is no JSON object */
export function jsonOf(path: string, { status, body }: WebhookAnswer): JsonObject {
  try {
    const value: unknown = JSON.parse(body);
    if (isObject(value)) return value;
  } catch {
    // Told below.
  }
  throw errors.PAGE_UNEXPECTED(path, status, shortText(body, 100));
}
