// A connection to a port of a pod through the API server, as `kubectl port-forward` makes it. In the pod it comes from
// loopback. Over a WebSocket with the subprotocol v4.channel.k8s.io (kubernetes/kubernetes,
// pkg/kubelet/server/portforward/websocket.go): each message begins with the number of its channel, 0 for data and 1 for errors,
// and the first message of each channel has the port. The client library's own PortForward loses the API server's words where it
// refuses, and has no bound on what it keeps.
import { Duplex } from 'node:stream';
import type { KubeConfig } from '@kubernetes/client-node';
import WebSocket from 'ws';
import { answerError } from '../lib/cluster/api-error.ts';
import { shortText } from '../lib/json.ts';
import { errors } from './cli-errors.ts';

const PROTOCOL = 'v4.channel.k8s.io';
const DATA = 0;
const ERROR = 1;
const CONNECT_MS = 15_000;
/** A message of the kubelet's has 32 KiB at most. */
const MESSAGE_BYTES = 1024 * 1024;
/** Of an answer that refuses. */
const REFUSAL_BYTES = 64 * 1024;

/**
 * @returns both directions of the connection; the caller ends it
 * @throws ApiError where the API server refuses; CodedError PORT_FORWARD_FAILED or the network's error; the stream is destroyed
 *   with PORT_FORWARD_FAILED where nothing listens on the port
 */
export async function openPort(config: KubeConfig, namespace: string, pod: string, port: number): Promise<Duplex> {
  const server = config.getCurrentCluster()?.server ?? '';
  const path = `/api/v1/namespaces/${namespace}/pods/${pod}/portforward?ports=${port}`;
  const options: WebSocket.ClientOptions = { handshakeTimeout: CONNECT_MS, maxPayload: MESSAGE_BYTES };
  await config.applyToHTTPSOptions(options as never);
  const socket = new WebSocket(`${server.replace(/^http/, 'ws')}${path}`, [PROTOCOL], options);
  // Before it is open: the first messages may come with the answer that opens it.
  const stream = streamOf(socket, (why) => errors.PORT_FORWARD_FAILED(`${namespace}/${pod}`, port, why));
  await opened(socket);
  return stream;
}

function opened(socket: WebSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('open', () => resolve());
    socket.once('error', reject);
    socket.once('unexpected-response', (request, response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (more: string) => {
        if (text.length < REFUSAL_BYTES) text += more;
      });
      response.once('close', () => {
        request.destroy();
        reject(answerError(response.statusCode ?? 0, text));
      });
    });
  });
}

function streamOf(socket: WebSocket, failed: (why: string) => Error): Duplex {
  const named = new Set<number>();
  const stream = new Duplex({
    read: () => void (socket.readyState === WebSocket.OPEN && socket.resume()),
    write: (chunk: Buffer, _encoding, done) => socket.send(Buffer.concat([Buffer.of(DATA), chunk]), done),
    // The protocol has no half of a connection that is closed.
    final: (done) => done(),
    destroy: (error, done) => {
      socket.terminate();
      done(error);
    },
  });
  socket.on('message', (data) => {
    const message = Buffer.isBuffer(data) ? data : Buffer.concat(data as Buffer[]);
    const [channel = 0] = message;
    if (!named.has(channel)) {
      named.add(channel);
      return;
    }
    const body = message.subarray(1);
    if (channel === ERROR && body.length > 0) stream.destroy(failed(shortText(body.toString(), 300)));
    if (channel === DATA && !stream.push(body)) socket.pause();
  });
  stream.on('error', () => undefined);
  socket.on('error', (error) => stream.destroy(error));
  socket.on('close', () => stream.push(null));
  return stream;
}
