// Events about unguarded pods, on the objects that own the pods.

import { createHash } from 'node:crypto';
import { ApiError, reasonOf } from '../../lib/cluster/api-error.ts';
import type { ClusterClient } from '../../lib/cluster/cluster-client.ts';
import type { JsonObject } from '../../lib/json.ts';
import type { StructuredLog } from '../../lib/log.ts';
import { COVERAGE_REASONS, type CoverageReason, remedyFor } from './coverage-reasons.ts';
import type { Change } from './coverage-store.ts';
import type { PodOwner } from './pod-record.ts';

/** Events live for an hour in the cluster by default: after that the same Event is sent again. */
const AGAIN_SECONDS = 3600;
const REMEMBERED = 10_000;
/** Limits the rate in a cluster full of unguarded pods: a burst, then one Event a second. */
const BURST = 50;
const QUEUE = 1000;
const NAME_LENGTH = 200;

export type EventResult = 'sent' | 'exists' | 'dropped' | 'failed';

/**
 * The Event for a change; undefined where the owner has nothing to do. Its name is made from owner and reason, so that
 * of two replicas one is told that it exists. Pure.
 * @param now the present time
 */
export function eventFor({ namespace, pod, to, owner }: Change, now: Date): JsonObject | undefined {
  const remedy = to === undefined ? undefined : remedyFor(to);
  if (to === undefined || owner === undefined || remedy === undefined) return undefined;
  const time = now.toISOString().replace(/\.\d+Z$/, 'Z');
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: eventName(owner, to), namespace },
    involvedObject: { ...owner, namespace },
    type: 'Warning',
    reason: 'NotGuarded',
    message: `${subject(pod, owner)} not guarded: ${to}: ${COVERAGE_REASONS[to].text}. What to do: ${remedy}`,
    reportingComponent: 'invalid-drop',
    source: { component: 'invalid-drop' },
    firstTimestamp: time,
    lastTimestamp: time,
    count: 1,
  };
}

function subject(pod: string, owner: PodOwner): string {
  return owner.kind === 'Pod' ? 'it is' : `its pods, such as ${pod}, are`;
}

function eventName({ name, uid }: PodOwner, reason: CoverageReason): string {
  const digest = createHash('sha256').update(`${uid} ${reason}`).digest('hex').slice(0, 16);
  // No part of a name may end in a hyphen (RFC 1123), and the cut may fall behind one.
  return `${name.slice(0, NAME_LENGTH).replace(/[-.]+$/, '')}.${digest}`;
}

function memoryKey({ metadata }: JsonObject): string {
  const { namespace, name } = metadata as { namespace: string; name: string };
  return `${namespace}/${name}`;
}

export interface EventSenderOptions {
  client: ClusterClient;
  count(result: EventResult): void;
  /** False where a namespace has been opted out, or is being deleted, since: nothing can be written there. */
  covers(namespace: string): boolean;
  log: Pick<StructuredLog, 'warn'>;
  /** Milliseconds since 1970. */
  now(): number;
}

/** @returns `note` takes a change, `tick` sends the next Events (call it every second), `waiting` counts them */
export function createEventSender({ client, count, covers, log, now }: EventSenderOptions) {
  const sentAt = new Map<string, number>();
  const queue: JsonObject[] = [];
  let tokens = BURST;

  function note(change: Change): void {
    const event = eventFor(change, new Date(now()));
    if (event === undefined) return;
    const name = memoryKey(event);
    const last = sentAt.get(name);
    if (last !== undefined && now() - last < AGAIN_SECONDS * 1000) return;
    if (queue.length >= QUEUE) {
      count('dropped');
      return;
    }
    if (sentAt.size >= REMEMBERED) sentAt.delete(sentAt.keys().next().value ?? '');
    sentAt.set(name, now());
    queue.push(event);
  }

  async function send(event: JsonObject): Promise<EventResult> {
    const { namespace } = event['metadata'] as { namespace: string };
    try {
      await client.create(`/api/v1/namespaces/${namespace}/events`, event);
      return 'sent';
    } catch (error) {
      if (error instanceof ApiError && error.status === 409) return 'exists';
      log.warn({ namespace, reason: reasonOf(error) }, 'an Event could not be written');
      sentAt.delete(memoryKey(event));
      return 'failed';
    }
  }

  return {
    note,
    waiting: () => queue.length,
    async tick(): Promise<void> {
      tokens = Math.min(BURST, tokens + 1);
      while (tokens > 0 && queue.length > 0) {
        const event = queue.shift();
        if (event === undefined || !covers((event['metadata'] as { namespace: string }).namespace)) continue;
        tokens -= 1;
        count(await send(event));
      }
    },
  };
}
