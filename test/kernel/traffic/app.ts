// The application: takes uploads on port 9000, all addresses, and answers how many bytes came.
import { createServer } from 'node:http';

const server = createServer((request, response) => {
  let received = 0;
  request.on('data', (chunk: Buffer) => {
    received += chunk.length;
  });
  request.on('end', () => response.end(JSON.stringify({ received })));
  request.on('error', () => undefined);
});
server.listen(9000, () => process.stdout.write('ready\n'));
