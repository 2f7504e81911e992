// Puts coverage together: two watches into the store, and what the store tells into log, metrics and Events.

import { isObject, type JsonObject } from '../../lib/json.ts';
import type { ClusterClient } from '../cluster/cluster-client.ts';
import { type Reflection, reflect, type Sink } from '../cluster/reflector.ts';
import { createChangeLog } from './coverage-log.ts';
import { type CoverageStore, createCoverageStore } from './coverage-store.ts';
import type { SeenNamespace } from './covered-namespaces.ts';
import { createEventSender, type EventResult } from './owner-events.ts';
import { createProjection, type SeenPod } from './pod-record.ts';

export interface CoverageOptions {
  client: ClusterClient;
  /** Image that is configured now. */
  image: string;
  /** Whether to write Events. */
  events: boolean;
  countEvent(result: EventResult): void;
  log: { info(details: object, message: string): void; warn(details: object, message: string): void };
  retryDelay(failures: number): number;
}

export interface Coverage {
  store: CoverageStore;
  /** True once the pods have been listed. */
  synced(): boolean;
  /** To be fed by the watch on namespaces. */
  namespaces: Sink<SeenNamespace>;
  stop(): Promise<void>;
}

const TICK_MS = 1000;

/** @returns at once; pods are asked for when the namespaces are known */
export function startCoverage({ client, image, events, countEvent, log, retryDelay }: CoverageOptions): Coverage {
  const changes = createChangeLog();
  const sender = createEventSender({
    client,
    count: countEvent,
    covers: (namespace) => store.covers(namespace),
    log,
    now: Date.now,
  });
  const store = createCoverageStore(
    (change) => {
      changes.note(change);
      if (events) sender.note(change);
    },
    () => Math.floor(Date.now() / 1000),
  );
  const project = createProjection(image);
  let pods: Reflection | undefined;
  const reflectPods = () => {
    pods ??= reflect<SeenPod>({
      client,
      path: '/api/v1/pods',
      what: 'pods',
      // Pods of other namespaces are of no interest, and let go at once.
      project: (object) => (isCovered(object, store) ? project(object) : undefined),
      sink: store,
      log,
      retryDelay,
    });
  };
  // Pods of a namespace that has just been opted in were let go before: all are listed anew, once for many namespaces.
  let optedIn = false;
  let sending = Promise.resolve();
  const timer = setInterval(() => {
    if (optedIn) pods?.again();
    optedIn = false;
    store.tick();
    const { lines, more } = changes.take();
    for (const line of lines) log.info(line, 'coverage changed');
    if (more > 0) log.info({ more }, 'coverage changed in more ways than are logged');
    if (sender.waiting() > 0) sending = sending.then(() => sender.tick());
  }, TICK_MS);

  return {
    store,
    synced: () => pods?.synced() ?? false,
    namespaces: namespaceSink(
      store,
      () => {
        optedIn = true;
      },
      reflectPods,
    ),
    async stop() {
      clearInterval(timer);
      await pods?.stop();
    },
  };
}

function isCovered({ metadata }: JsonObject, store: CoverageStore): boolean {
  return isObject(metadata) && typeof metadata['namespace'] === 'string' && store.covers(metadata['namespace']);
}

/** @param listed called after the first list, when every opted-in namespace is known */
function namespaceSink(store: CoverageStore, optedIn: () => void, listed: () => void): Sink<SeenNamespace> {
  let first = true;
  const put = ({ name, covered }: SeenNamespace) => {
    if (covered === undefined) store.uncover(name);
    else if (store.cover(name, covered) && !first) optedIn();
  };
  return {
    put,
    remove: ({ name }) => store.uncover(name),
    replace(items) {
      const there = new Set(items.map(({ name }) => name));
      for (const name of store.names()) if (!there.has(name)) store.uncover(name);
      for (const item of items) put(item);
      first = false;
      listed();
    },
  };
}
