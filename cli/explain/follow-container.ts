// Waits for a container that was added or created, prints its log as it comes, and says how it ended.
import { setTimeout as wait } from 'node:timers/promises';
import { ApiError } from '../../lib/cluster/api-error.ts';
import type { OperatorClient } from '../../lib/cluster/cluster-client.ts';
import { isObject, type JsonObject, objectAt, objectsAt, shortText } from '../../lib/json.ts';
import type { CliClient } from '../cli-command.ts';
import { errors } from '../cli-errors.ts';
import type { Relay } from './relay-output.ts';

/** What the command asks for, of a pod or of a node. */
export interface ExplainRequest {
  client: CliClient;
  /** '' for the one that the webhook injects. */
  image: string;
  seconds: number;
  json: boolean;
  startSeconds: number;
  relay: Relay;
  note(text: string): void;
  /** The program is told to end, and prints its summary. */
  stop: AbortSignal;
}

/** Seconds beside the watch itself: the program's start, and its last words. */
export const RUN_MARGIN = 30;

export interface FollowedContainer {
  /** Of the pod. */
  path: string;
  container: string;
  /** For messages. */
  what: string;
  /** Seconds until it has to have started, and for which it then runs at most. */
  startSeconds: number;
  runSeconds: number;
}

type Client = Pick<OperatorClient, 'get' | 'stream'>;
const POLL_MS = 250;

/**
 * @param stop ends the wait for the start; a container that runs is followed to its end
 * @returns its exit code
 * @throws CodedError EXPLAIN_NOT_STARTED, EXPLAIN_LOST; what the client rejects with
 */
export async function followContainer(client: Client, one: FollowedContainer, relay: Relay, stop: AbortSignal) {
  await started(client, one, stop);
  const limit = AbortSignal.timeout(one.runSeconds * 1000);
  const query = { container: one.container, limitBytes: String(64 * 1024 * 1024) };
  try {
    for await (const bytes of client.stream(`${one.path}/log`, { ...query, follow: 'true' }, limit)) relay.take(bytes);
  } catch (error) {
    if (error instanceof ApiError && error.status !== 404 && error.status < 500) throw error;
    // The connection broke, or nothing was printed for long: the rest is read when the container has ended.
  }
  const exitCode = await ended(client, one, limit);
  await takeRest(client, one, relay);
  relay.end();
  return exitCode;
}

/** What the log has beyond what was printed. */
async function takeRest(client: Client, { path, container }: FollowedContainer, relay: Relay): Promise<void> {
  let skip = relay.taken;
  try {
    for await (const bytes of client.stream(`${path}/log`, { container }, AbortSignal.timeout(10_000))) {
      if (bytes.length > skip) relay.take(bytes.subarray(skip));
      skip = Math.max(0, skip - bytes.length);
    }
  } catch (error) {
    // A pod that is being deleted may have no log any more.
    if (!(error instanceof Error)) throw error;
  }
}

async function started(client: Client, { path, container, what, startSeconds }: FollowedContainer, stop: AbortSignal) {
  const end = performance.now() + startSeconds * 1000;
  for (;;) {
    const state = stateOf(await client.get(path), container);
    if (isObject(state['running']) || isObject(state['terminated'])) return;
    const { reason, message } = objectAt(state['waiting']);
    const why = [shortText(reason, 60), shortText(message, 300)].filter((part) => part !== '').join(': ');
    if (stop.aborted) throw errors.EXPLAIN_NOT_STARTED(what, startSeconds, 'interrupted');
    if (performance.now() >= end) throw errors.EXPLAIN_NOT_STARTED(what, startSeconds, why || 'not scheduled');
    await wait(POLL_MS, undefined, { signal: stop }).catch(() => undefined);
  }
}

async function ended(client: Client, { path, container, what }: FollowedContainer, limit: AbortSignal) {
  for (;;) {
    const pod = await client.get(path).catch((error: unknown) => {
      throw error instanceof ApiError && error.status === 404 ? errors.EXPLAIN_LOST(what) : error;
    });
    const { terminated } = stateOf(pod, container);
    if (isObject(terminated)) return Number(terminated['exitCode']);
    if (limit.aborted) throw errors.EXPLAIN_LOST(what);
    await wait(POLL_MS);
  }
}

function stateOf(pod: JsonObject, container: string): JsonObject {
  const lists = ['containerStatuses', 'ephemeralContainerStatuses'];
  const statuses = lists.flatMap((list) => objectsAt(pod, 'status', list));
  return objectAt(
    statuses.find(({ name }) => name === container),
    'state',
  );
}
