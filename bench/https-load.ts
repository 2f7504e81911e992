// The same request to servers over TLS again and again, on a few connections, one request under way on each. By wrk,
// which leaves most of the processors to the servers that are measured.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { must } from '../test/harness/netns/processes.ts';

export interface HttpsLoad {
  perSecond: number;
  /** Milliseconds. */
  p50: number;
  p99: number;
}

export interface HttpsTarget {
  /** IPv4 addresses: each thread takes the next. */
  hosts: string[];
  port: number;
  path: string;
}

const SCRIPT = fileURLToPath(new URL('inside/load.lua', import.meta.url));

/**
 * wrk does not ask who the servers are, and that is not what is measured.
 * @param body sent with each request
 * @throws Error where a request failed, or was not answered with a status of 2xx or 3xx
 */
export async function load(
  { hosts, port, path }: HttpsTarget,
  body: string,
  { threads = 1, connections, seconds }: { threads?: number; connections: number; seconds: number },
): Promise<HttpsLoad> {
  const folder = await mkdtemp(`${tmpdir()}/invalid-drop-load-`);
  try {
    const file = `${folder}/body.json`;
    await writeFile(file, body);
    const env = { ...process.env, LOAD_HOSTS: hosts.join(' '), LOAD_PORT: String(port), LOAD_BODY: file };
    const amount = ['-t', String(threads), '-c', String(connections), '-d', String(seconds)];
    const printed = await must('wrk', [...amount, '-s', SCRIPT, `https://${hosts[0]}:${port}${path}`], { env });
    const { failed, ...measured } = JSON.parse(printed.trimEnd().split('\n').at(-1) ?? '') as HttpsLoad & {
      failed: number;
    };
    if (failed > 0) throw new Error(`${failed} requests to ${hosts.join(' ')} failed: ${printed}`);
    return measured;
  } finally {
    await rm(folder, { recursive: true });
  }
}
