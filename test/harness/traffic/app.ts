// The application: takes uploads on port 9000, all addresses or the one that is its argument, and answers how many
// bytes came; or, where the path ends with `?answer=BYTES`, as many bytes.
import { createServer } from 'node:http';
import { Readable } from 'node:stream';

/**
 * Milliseconds that an idle connection is kept: Node's five seconds go by between two steps on a machine that is slow.
 */
const KEPT = 120_000;
const CHUNK = Buffer.alloc(1024 * 1024, 'x');

function* bytesOf(count: number) {
  for (let left = count; left > 0; left -= CHUNK.length) yield CHUNK.subarray(0, left);
}

const server = createServer({ keepAliveTimeout: KEPT }, (request, response) => {
  let received = 0;
  request.on('data', (chunk: Buffer) => {
    received += chunk.length;
  });
  const [, answer] = /\?answer=(\d+)$/.exec(request.url ?? '') ?? [];
  request.on('end', () => {
    if (answer === undefined) response.end(JSON.stringify({ received }));
    else Readable.from(bytesOf(Number(answer))).pipe(response.setHeader('content-length', answer));
  });
  request.on('error', () => undefined);
});
const [host] = process.argv.slice(2);
server.listen({ port: 9000, ...(host && { host }) }, () => process.stdout.write('ready\n'));
