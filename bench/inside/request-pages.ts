// Runs inside a namespace: asks a server on loopback for its pages, in turn, each on a connection of its own.
// Arguments: port, how many requests, paths.
import { get } from 'node:http';
import { text } from 'node:stream/consumers';

const LIMIT = 10_000;

function request(port: string, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const call = get({ host: '127.0.0.1', port, path, agent: false, timeout: LIMIT }, (response) => {
      if (response.statusCode !== 200) reject(new Error(`${path}: ${response.statusCode}`));
      text(response).then(() => resolve(), reject);
    });
    call.on('timeout', () => call.destroy(new Error(`${path}: timed out`)));
    call.on('error', reject);
  });
}

const [port = '', count = '', ...paths] = process.argv.slice(2);
for (let i = 0; i < Number(count); i++) await request(port, paths[i % paths.length] ?? '/');
