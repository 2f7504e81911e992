// The application: takes uploads on port 9000, all addresses or the one that is its argument, and answers how many
// bytes came.
import { createServer } from 'node:http';

/**
 * Milliseconds that an idle connection is kept: Node's five seconds go by between two steps on a machine that is slow.
 */
const KEPT = 120_000;
const server = createServer({ keepAliveTimeout: KEPT }, (request, response) => {
  let received = 0;
  request.on('data', (chunk: Buffer) => {
    received += chunk.length;
  });
  request.on('end', () => response.end(JSON.stringify({ received })));
  request.on('error', () => undefined);
});
const [host] = process.argv.slice(2);
server.listen({ port: 9000, ...(host && { host }) }, () => process.stdout.write('ready\n'));
