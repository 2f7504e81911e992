// Requests and answers through the mesh: from the node through gateway and sidecar to a pod, and from a pod through its
// sidecar to another.
import { fileURLToPath } from 'node:url';
import type { PodPrograms } from '../cluster/node-side.ts';
import { Program } from '../netns/processes.ts';
import type { RequestResult } from '../traffic/requests.ts';

const CLIENT = fileURLToPath(new URL('../traffic/requests.ts', import.meta.url));
/** Of one run of the client, however many its requests are. */
const RUN_LIMIT = 400_000;

export interface RequestPlan {
  /** Bytes of each request, and of each answer. */
  sent: number;
  received: number;
  count: number;
  /** Kept by the client, and so about as many by the Envoys. */
  connections: number;
  /** Milliseconds, after which one is stuck. */
  limit: number;
  /** 9000 by default. */
  port?: number;
}

/** Counts by their end, and what the client saw of those that are not fine. */
export interface RequestCounts {
  fine: number;
  reset: number;
  stuck: number;
  errors: string[];
}

/**
 * @param client the pod whose network the requests come from; undefined for the node's
 * @param address the gateway's, or a Service's
 * @param name the host name to ask for
 * @param tell called with the number of requests that have ended
 */
export async function sendRequests(
  client: PodPrograms | undefined,
  address: string,
  name: string,
  { sent, received, count, connections, limit, port = 9000 }: RequestPlan,
  tell: (ended: number) => void = () => undefined,
): Promise<RequestCounts> {
  const args = [CLIENT, address, name, ...[sent, received, count, connections, limit, port].map(String)];
  const program = client ? await client.start(process.execPath, args) : new Program(process.execPath, args);
  let ended = 0;
  program.child.stdout?.on('data', (text: string) => {
    ended += text.split('\n').length - 1;
    tell(ended);
  });
  const { exitCode, stdout, stderr } = await program.end(RUN_LIMIT);
  const lines = stdout.split('\n').filter((line) => line !== '');
  if (exitCode !== 0 || lines.length !== count) throw new Error(`the client ended with ${exitCode}: ${stderr}`);
  return countsOf(lines.map((line) => JSON.parse(line) as RequestResult));
}

function countsOf(results: RequestResult[]): RequestCounts {
  const ended = (end: RequestResult['end']) => results.filter((one) => one.end === end);
  return {
    fine: ended('fine').length,
    reset: ended('reset').length,
    stuck: ended('stuck').length,
    errors: [...new Set(results.flatMap(({ error }) => error ?? []))],
  };
}
