// Sends the same request to a server over TLS again and again, on a few connections, one request under way on each.
// Arguments: port, connections, seconds, and the hosts (commas between, taken in turns) and path where they are not these.
// The body comes on standard input. Prints requests per second and latencies.
// Bare sockets: node:https would take longer for a request than the servers that are measured.
import { performance } from 'node:perf_hooks';
import { text } from 'node:stream/consumers';
import { connect } from 'node:tls';
import { quantile } from '../statistics.ts';

export interface Load {
  perSecond: number;
  /** Milliseconds. */
  p50: number;
  p99: number;
}

const [port = '', connections = '', seconds = '', hosts = '127.0.0.1', path = '/mutate'] = process.argv.slice(2);
const body = await text(process.stdin);
const head = `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n`;
const request = Buffer.from(head + body);
const latencies: number[] = [];
const deadline = performance.now() + Number(seconds) * 1000;

/** Length of the first answer in the text, 0 where it is not whole yet. */
function answerLength(received: string): number {
  const end = received.indexOf('\r\n\r\n');
  if (end < 0) return 0;
  const length = received.slice(0, end).match(/content-length: (\d+)/i)?.[1];
  // Without a length it comes in chunks, of which the last is empty (RFC 9112, section 7.1).
  if (length === undefined) {
    const last = received.indexOf('\r\n0\r\n\r\n', end);
    return last < 0 ? 0 : last + 7;
  }
  const whole = end + 4 + Number(length);
  return received.length >= whole ? whole : 0;
}

function drive(host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    // The servers make their certificates themselves; who they are is not what is measured.
    const socket = connect({ host, port: Number(port), rejectUnauthorized: false });
    let received = '';
    let sent = 0;
    const send = () => {
      sent = performance.now();
      socket.write(request);
    };
    socket.setEncoding('latin1').setNoDelay(true);
    socket.on('secureConnect', send);
    socket.on('data', (piece: string) => {
      received += piece;
      const length = answerLength(received);
      if (length === 0) return;
      if (!received.startsWith('HTTP/1.1 200 ')) return void socket.destroy(new Error(received.slice(0, 500)));
      received = received.slice(length);
      latencies.push(performance.now() - sent);
      if (performance.now() < deadline) send();
      else socket.end();
    });
    socket.on('error', reject);
    socket.on('close', () => resolve());
  });
}

const started = performance.now();
const all = hosts.split(',');
await Promise.all(Array.from({ length: Number(connections) }, (_, i) => drive(all[i % all.length] ?? '')));
const perSecond = latencies.length / ((performance.now() - started) / 1000);
const load: Load = { perSecond, p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99) };
process.stdout.write(JSON.stringify(load));
