// The client: `upload.ts HOST BYTES COUNT [LIMIT] [NAME] [PORT]` uploads COUNT files, each on a connection of its own, and
// prints a line a file. LIMIT is in milliseconds an upload; NAME is the host name to ask for, where that is another; PORT
// is 9000 by default.
import { request } from 'node:http';
import { performance } from 'node:perf_hooks';

/** What became of one upload. */
export interface Upload {
  ok: boolean;
  /** What the client saw where it failed, such as ECONNRESET, or `timed out`. */
  error?: string;
  seconds: number;
}

const CHUNK = Buffer.alloc(1024 * 1024, 'x');
const LIMIT = '60000';

const PORT = '9000';

function upload(host: string, bytes: number, limit: number, name: string, port: number): Promise<Upload> {
  const started = performance.now();
  return new Promise((resolve) => {
    const done = (error?: string) => {
      const seconds = (performance.now() - started) / 1000;
      resolve(error === undefined ? { ok: true, seconds } : { ok: false, error, seconds });
    };
    const signal = AbortSignal.timeout(limit);
    const failed = (error: NodeJS.ErrnoException) => done(signal.aborted ? 'timed out' : (error.code ?? error.message));
    const headers = { 'content-length': bytes, ...(name ? { host: name } : {}) };
    const put = request({ host, port, method: 'PUT', path: '/object', headers, agent: false, signal });
    put.on('error', failed);
    put.on('response', (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text) => {
        body += text;
      });
      response.on('error', failed);
      response.on('end', () =>
        done(body === JSON.stringify({ received: bytes }) ? undefined : `answered ${response.statusCode}: ${body}`),
      );
    });
    let left = bytes;
    const fill = () => {
      while (left > 0 && !put.destroyed) {
        const chunk = left < CHUNK.length ? CHUNK.subarray(0, left) : CHUNK;
        left -= chunk.length;
        if (!put.write(chunk)) return;
      }
      if (left === 0) put.end();
    };
    put.on('drain', fill);
    fill();
  });
}

const [host = '', bytes = '', count = '', limit = LIMIT, name = '', port = PORT] = process.argv.slice(2);
for (let i = 0; i < Number(count); i++) {
  process.stdout.write(`${JSON.stringify(await upload(host, Number(bytes), Number(limit), name, Number(port)))}\n`);
}
