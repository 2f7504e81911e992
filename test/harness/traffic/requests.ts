// The client of requests and answers: `requests.ts ADDRESS NAME SENT RECEIVED COUNT CONNECTIONS LIMIT [PORT]`. It sends COUNT
// requests of SENT bytes over CONNECTIONS connections that it keeps, wants RECEIVED bytes each, and prints a line a
// request. LIMIT is in milliseconds a request; NAME is the host name to ask for.
import { Agent, request } from 'node:http';
import { performance } from 'node:perf_hooks';
import { Readable } from 'node:stream';

/** What became of one request. */
export interface RequestResult {
  /** `reset`: the connection was, or one behind the proxies. `stuck`: not within the limit. */
  end: 'fine' | 'reset' | 'stuck';
  /** What the client saw where it is not fine. */
  error?: string;
  seconds: number;
}

const CHUNK = Buffer.alloc(1024 * 1024, 'x');
const [host = '', name = '', sent = '', received = '', count = '', connections = '', limit = '', port = '9000'] =
  process.argv.slice(2);

function* bytesOf(all: number) {
  for (let left = all; left > 0; left -= CHUNK.length) yield CHUNK.subarray(0, left);
}

function send(agent: Agent): Promise<RequestResult> {
  const started = performance.now();
  return new Promise((resolve) => {
    const signal = AbortSignal.timeout(Number(limit));
    const done = (error?: string) => {
      const end = error === undefined ? 'fine' : signal.aborted ? 'stuck' : 'reset';
      resolve({ end, ...(error === undefined ? {} : { error }), seconds: (performance.now() - started) / 1000 });
    };
    const failed = (error: NodeJS.ErrnoException) => done(error.code ?? error.message);
    const headers = { host: name, 'content-length': sent };
    const path = `/object?answer=${received}`;
    const put = request({ host, port, method: 'PUT', path, headers, agent, signal });
    put.on('error', failed);
    put.on('response', (response) => {
      let bytes = 0;
      let text = '';
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (response.statusCode !== 200) text += chunk;
      });
      response.on('error', failed);
      response.on('end', () => {
        const whole = response.statusCode === 200 && bytes === Number(received);
        done(whole ? undefined : `answered ${response.statusCode} with ${bytes} bytes ${text}`.trim());
      });
    });
    Readable.from(bytesOf(Number(sent)))
      .on('error', () => undefined)
      .pipe(put);
  });
}

let left = Number(count);
async function work(): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  while (left-- > 0) process.stdout.write(`${JSON.stringify(await send(agent))}\n`);
  agent.destroy();
}
await Promise.all(Array.from({ length: Number(connections) }, work));
